"""The levels: each adds steps to the one before, and a step that is done is not done again."""

import importlib.util
import itertools
import subprocess
from pathlib import Path

import pytest

from loraserve.setup import environment, isolated, stamps, steps
from loraserve.setup.__main__ import LEVELS
from loraserve.setup.errors import SetupError


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The titles of the steps, which are not carried out."""
    titles: list[str] = []
    for module in (steps, isolated):
        monkeypatch.setattr(module, "step", lambda title, *_: titles.append(title))
    monkeypatch.setattr(steps.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0))
    return titles


def run(level: str, done: list[str]) -> list[str]:
    done.clear()
    with pytest.raises(SystemExit) as ended:
        steps.set_up(level)
    assert ended.value.code == 0
    return list(done)


def test_each_level_adds_to_the_one_before(done: list[str]) -> None:
    found = [run(level, done) for level in LEVELS]
    for before, after in itertools.pairwise(found):
        assert after[: len(before)] == before
        assert len(after) > len(before)


def test_a_deployment_has_nothing_of_the_laptop_cloud(done: list[str]) -> None:
    assert run("deploy", done) == [
        "virtual environment", "packages", "node and the CDK CLI", "this project"
    ]  # fmt: skip


def test_a_scan_adds_the_auditor_to_a_deployment_and_nothing_of_the_laptop_cloud(done: list[str]) -> None:
    deployment = run("deploy", done)
    assert run("scan", done) == [*deployment, "package auditor"]


def test_the_tour_adds_its_packages_to_the_laptop_and_no_tools(done: list[str]) -> None:
    laptop = run("laptop", done)
    assert run("tour", done) == [*laptop, "JupyterLab and the SageMaker SDK"]


def test_a_step_that_fails_is_reported_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise SetupError("no network")

    monkeypatch.setattr(steps, "_deploy", fail)
    with pytest.raises(SystemExit) as ended:
        steps.set_up("deploy")
    assert ended.value.code == "\nsetup: no network\nThen run the same command again: what is done is kept."


def test_a_python_without_ensurepip_is_reported_with_the_package_that_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(
        SetupError, match=r"comes without its module ensurepip: .*apt install python3\.\d+-venv"
    ):
        environment.make(tmp_path / "venv")
    assert not (tmp_path / "venv").exists()


def test_a_step_is_done_again_if_a_file_that_it_was_made_from_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    (tmp_path / "pins.txt").write_text("a==1\n")
    monkeypatch.setattr(stamps, "ROOT", tmp_path)
    times: list[int] = []

    def again() -> int:
        stamps.step("packages", ["pins.txt"], lambda: times.append(1), tmp_path)
        return len(times)

    assert [again(), again()] == [1, 1]
    (tmp_path / "pins.txt").write_text("a==2\n")
    assert [again(), again()] == [2, 2]
    (tmp_path / "bin" / "python").unlink()  # the environment is gone
    assert again() == 3
