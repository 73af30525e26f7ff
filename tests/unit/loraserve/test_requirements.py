from pathlib import Path

from loraserve.requirements import ALONE, APART, HASHED, TOGETHER, problems
from stacks.project import ROOT


def test_the_committed_requirements_are_exact_and_without_duplicates() -> None:
    assert problems(ROOT) == []


def write_empty(root: Path) -> None:
    for file in (*TOGETHER, *ALONE, *APART):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("")


def test_a_loose_pin_a_duplicate_and_a_disagreement_are_each_told_with_their_line(tmp_path: Path) -> None:
    write_empty(tmp_path)
    (tmp_path / TOGETHER[0]).write_text("a==1\nb>=2\n")
    (tmp_path / TOGETHER[1]).write_text("# comment\nA==1\n")
    (tmp_path / ALONE[0]).write_text("a==2\n")
    found = problems(tmp_path)
    assert len(found) == 3
    assert "requirements.txt:2: b>=2: pin it exactly" in found[0]
    assert "requirements-dev.txt:2: a already stands in requirements.txt:1" in found[1]
    assert "container/gateway/requirements.txt:1: a==2 differs from requirements.txt:1: a==1" in found[2]


def test_in_the_lambda_layer_each_package_names_one_wheel_by_its_hash(tmp_path: Path) -> None:
    write_empty(tmp_path)
    digest = f"--hash=sha256:{'0' * 64}"
    (tmp_path / TOGETHER[0]).write_text("a==1\n")
    (tmp_path / HASHED[0]).write_text(f"a==2 {digest}\nb==1\nc==1 {digest} {digest}\nd==1 {digest}\n")
    found = problems(tmp_path)
    assert len(found) == 3
    assert "lambdas/requirements.txt:1: a==2 differs from requirements.txt:1: a==1" in found[0]
    assert "lambdas/requirements.txt:2: b: add the hash of its one wheel" in found[1]
    assert "lambdas/requirements.txt:3: c: add the hash of its one wheel" in found[2]


def test_the_clients_pins_may_differ_but_are_exact_and_stand_once(tmp_path: Path) -> None:
    write_empty(tmp_path)
    (tmp_path / TOGETHER[0]).write_text("a==1\nb==1\n")
    (tmp_path / APART[0]).write_text("a==2\nb==1\nc>=3\nA==2\n")
    assert problems(tmp_path) == [
        "requirements-clients.txt:3: c>=3: pin it exactly, e.g. c==1.2.3",
        "requirements-clients.txt:4: a already stands in requirements-clients.txt:1: remove one",
    ]
