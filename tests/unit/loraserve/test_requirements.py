import hashlib
import zipfile
from pathlib import Path

import pytest

from loraserve.requirements import ALONE, ON_TOP, SEPARATE, TOGETHER, LockError, lock, problems, source, stamp
from stacks.project import ROOT


def test_committed_requirements_are_exact_and_without_duplicates() -> None:
    assert problems(ROOT) == []


def write(root: Path, file: str, pins: str, asked: str = "") -> None:
    """A requirements file and its `.in` file, in step."""
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / source(file)).write_text(asked)
    (root / file).write_text(f"{pins}{stamp(root, file)}\n")


def write_empty(root: Path) -> None:
    for file in (*TOGETHER, *ON_TOP, *ALONE, *SEPARATE):
        write(root, file, "")


def test_a_loose_pin_a_duplicate_and_a_disagreement_are_each_reported_with_their_line(tmp_path: Path) -> None:
    write_empty(tmp_path)
    write(tmp_path, TOGETHER[0], "a==1\nb>=2\n")
    write(tmp_path, "requirements-dev.txt", "# comment\nA==1\n")
    write(tmp_path, ON_TOP[0], "b==2\n")
    write(tmp_path, ALONE[0], f"a==2 --hash=sha256:{'0' * 64}\n")
    found = problems(tmp_path)
    assert len(found) == 4
    assert "requirements.txt:2: b>=2: pin it exactly" in found[0]
    assert "requirements-dev.txt:2: a already stands in requirements.txt:1" in found[1]
    assert "requirements-tour.txt:1: b already stands in requirements.txt:2" in found[2]
    assert "container/gateway/requirements.txt:1: a==2 differs from requirements.txt:1: a==1" in found[3]


def test_in_lambda_layer_each_package_names_one_wheel_by_its_hash(tmp_path: Path) -> None:
    write_empty(tmp_path)
    digest = f"--hash=sha256:{'0' * 64}"
    write(tmp_path, TOGETHER[0], "a==1\n")
    write(
        tmp_path, "lambdas/requirements.txt", f"a==2 {digest}\nb==1\nc==1 {digest} {digest}\nd==1 {digest}\n"
    )
    found = problems(tmp_path)
    assert len(found) == 3
    assert "lambdas/requirements.txt:1: a==2 differs from requirements.txt:1: a==1" in found[0]
    assert "lambdas/requirements.txt:2: b: run make lock, which adds the hash of its wheel" in found[1]
    assert "lambdas/requirements.txt:3: c: run make lock, which adds the hash of its wheel" in found[2]


def test_clients_pins_may_differ_but_are_exact_and_stand_once(tmp_path: Path) -> None:
    write_empty(tmp_path)
    write(tmp_path, TOGETHER[0], "a==1\nb==1\n")
    write(tmp_path, SEPARATE[0], "a==2\nb==1\nc>=3\nA==2\n")
    assert problems(tmp_path) == [
        "requirements-clients.txt:3: c>=3: pin it exactly, e.g. c==1.2.3",
        "requirements-clients.txt:4: a already stands in requirements-clients.txt:1: remove one",
    ]


def test_a_changed_in_file_is_noticed_without_network_and_a_comment_is_no_change(tmp_path: Path) -> None:
    write_empty(tmp_path)
    write(tmp_path, "requirements.txt", "a==1\nb==1\n", "# why\na\nb>=1\n")
    assert problems(tmp_path) == []
    (tmp_path / "requirements.in").write_text("# another reason\n\nb>=1\na\n")
    assert problems(tmp_path) == []
    for asked in ("a\n", "a\nb>=1\nc\n", "a\nb>=2\n"):
        (tmp_path / "requirements.in").write_text(asked)
        assert problems(tmp_path) == ["requirements.txt: not from requirements.in as it is: run make lock"]


def test_a_pin_that_was_changed_by_hand_must_still_be_one_that_the_in_file_asks_for(tmp_path: Path) -> None:
    write_empty(tmp_path)
    write(tmp_path, "requirements.txt", "b==1\n", "a\nb>=2\n")
    assert problems(tmp_path) == [
        "requirements.txt: a of requirements.in is not pinned here: run make lock",
        "requirements.txt: b>=2 of requirements.in is not pinned here: run make lock",
    ]


#: Of vLLM's Python and of the gateway's in LoRAX's image.
PYTHONS_OF_IMAGES = ("cp312-cp312", "cp311-cp311")


def wheel(folder: Path, name: str, version: str, *needs: str, tag: str = "py3-none-any") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    information = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    with zipfile.ZipFile(path, "w") as content:
        content.writestr(
            f"{information}/METADATA", metadata + "".join(f"Requires-Dist: {need}\n" for need in needs)
        )
        content.writestr(f"{information}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        content.writestr(f"{information}/RECORD", "")
    return path


def pins(root: Path, file: str) -> list[str]:
    return [line for line in (root / file).read_text().splitlines() if not line.startswith("#")]


def test_make_lock_resolves_all_files_from_the_wheels_of_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, root = tmp_path / "index", tmp_path / "root"
    for version in ("1", "2"):
        wheel(index, "app", version, "shared")
    wheel(index, "shared", "1")
    wheel(index, "check", "1", "shared", "app<3")
    wheel(index, "engine", "1", "torchvision", "shared")
    wheel(index, "notebook", "1", "shared<1", "widget")
    wheel(index, "widget", "1")
    hub = wheel(index, "hub", "1", "hf-xet")
    compiled = [wheel(index, "fast", "1", tag=f"{tag}-manylinux_2_28_x86_64") for tag in PYTHONS_OF_IMAGES]
    write_empty(root)
    write(root, "requirements.txt", "app==1\n", "app\n")
    write(root, "requirements-dev.txt", "", "check\n")
    write(root, "requirements-local.txt", "", "engine\n")
    write(root, "requirements-tour.txt", "", "notebook\n")
    write(root, "lambdas/requirements.txt", "", "hub\n")
    write(root, "container/gateway/requirements.txt", "", "fast\n")
    write(root, "requirements-scan.txt", "app==1\n", "app\n")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))

    lock(root, ["--no-index"])
    assert problems(root) == []
    assert pins(root, "requirements.txt") == ["app==1", "shared==1"]
    assert pins(root, "requirements-dev.txt") == ["check==1"]
    assert pins(root, "requirements-local.txt") == ["engine==1"]
    # It does not change the version that it is installed on top of.
    assert pins(root, "requirements-tour.txt") == ["notebook==1", "widget==1"]
    digest = hashlib.sha256(hub.read_bytes()).hexdigest()
    assert pins(root, "lambdas/requirements.txt") == [f"hub==1 --hash=sha256:{digest}"]
    digests = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in compiled)
    assert pins(root, "container/gateway/requirements.txt") == [
        f"fast==1 --hash=sha256:{digests[0]} --hash=sha256:{digests[1]}"
    ]
    assert pins(root, "requirements-scan.txt") == ["app==1", "shared==1"]

    before = {file: (root / file).read_bytes() for file in (*TOGETHER, *ON_TOP, *ALONE, *SEPARATE)}
    lock(root, ["--no-index"])
    assert {file: (root / file).read_bytes() for file in before} == before
    lock(root, ["--no-index", "--upgrade"])
    assert problems(root) == []
    assert pins(root, "requirements.txt") == ["app==2", "shared==1"]
    assert pins(root, "requirements-scan.txt") == ["app==2", "shared==1"]

    upgraded = (root / "requirements.txt").read_bytes()
    (root / "requirements.in").write_text("app==3\n")
    with pytest.raises(LockError, match=r"(?s)requirements\.in.*app==3"):
        lock(root, ["--no-index"])
    assert (root / "requirements.txt").read_bytes() == upgraded
