"""The isolated environments of the tests, which loraserve/setup makes."""

import subprocess
import sys
from pathlib import Path

import pytest

from loraserve.setup.isolated import SeparateEnvironment


def programs(environment: SeparateEnvironment) -> Path:
    """Return the folder of an environment's programs; fail with the remedy if the environment is missing."""
    if not environment.is_ready():
        pytest.fail(
            f"{environment.folder} is missing or not as {environment.requirements} says: run the tests with `make test`, "
            "or run `python -m loraserve.setup tests` once",
            pytrace=False,
        )
    return environment.folder / "bin"


def missing(environment: SeparateEnvironment) -> dict[str, set[str]]:
    """Return each package's missing requirements; every other requirement must be met."""
    pip = [sys.executable, "-m", "pip", "--python", str(environment.folder), "check"]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    # "sagemaker-core 2.27.0 requires mock, which is not installed."
    problems = [
        line.split(" ") for line in done.stdout.splitlines() if line != "No broken requirements found."
    ]
    assert [" ".join(line) for line in problems if line[4:] != ["which", "is", "not", "installed."]] == []
    found: dict[str, set[str]] = {}
    for line in problems:
        found.setdefault(line[0], set()).add(line[3].rstrip(","))
    return found
