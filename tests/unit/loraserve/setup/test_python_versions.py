"""An unusable Python is refused in a sentence, in that Python."""

import ast
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from loraserve.setup.python_versions import NEWEST, OLDEST, refusal
from stacks.project import ROOT

#: What runs before the version is checked, in whichever Python `python3` is.
BEFORE_THE_CHECK = ("loraserve/__init__.py", "loraserve/setup/__init__.py", "loraserve/setup/__main__.py",
                    "loraserve/setup/python_versions.py")  # fmt: skip


@pytest.mark.parametrize("version", [(3, 9), (3, 10), (3, 15)])
def test_another_version_is_refused_with_the_usable_ones(version: tuple[int, int]) -> None:
    found = refusal(version)
    assert found is not None
    assert f"Python 3.{version[1]} is too {'old' if version < OLDEST else 'new'}" in found
    assert "wheels for 3.11 to 3.14" in found
    assert "make PYTHON=python3." in found


@pytest.mark.parametrize("version", [(3, 11), (3, 14)])
def test_the_bounds_are_usable(version: tuple[int, int]) -> None:
    assert refusal(version) is None


def test_a_python_that_is_installed_is_proposed_if_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Install one of these and name it: make PYTHON=python3.13 …" in str(refusal((3, 9)))
    for name, code in (("python3.13", 127), ("python3.12", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    assert "one that is installed here: make PYTHON=python3.12 …" in str(refusal((3, 9)))


def test_the_project_names_the_same_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    allowed = SpecifierSet(project["requires-python"])
    versions = [f"3.{minor}" for minor in range(8, 20) if allowed.contains(f"3.{minor}")]
    assert versions == [f"3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]


@pytest.mark.parametrize("file", BEFORE_THE_CHECK)
def test_what_runs_before_the_check_is_python_3_6(file: str) -> None:
    ast.parse((ROOT / file).read_text(), feature_version=(3, 6))
    assert "from __future__ import annotations" not in (ROOT / file).read_text()  # new in 3.7


def test_an_older_python_prints_the_sentence() -> None:
    older = next((name for minor in range(10, 5, -1) if (name := _runnable(f"python3.{minor}"))), None)
    if older is None:
        pytest.skip("no Python from 3.6 to 3.10 is installed here")
    command = [older, "-m", "loraserve.setup", "deploy"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("setup: Python 3.")
    assert done.stderr.count("\n") == 1


def _runnable(name: str) -> str | None:
    """The program, unless it is only a shim of a version manager."""
    versions = sorted(
        Path("~/.pyenv/versions").expanduser().glob(f"{name.removeprefix('python')}.*/bin/{name}")
    )
    candidates = [*map(str, versions), shutil.which(name)]
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return None
