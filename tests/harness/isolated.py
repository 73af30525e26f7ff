"""The environments that the tests have beside their own: loraserve/bootstrap.py makes them."""

import subprocess
import sys
from pathlib import Path

import pytest

from loraserve.bootstrap import Apart


def programs(apart: Apart) -> Path:
    """The folder of an environment's programs; a failure that says what to do if it is not there."""
    if not apart.is_ready():
        pytest.fail(
            f"{apart.folder} is missing or not as {apart.requirements} says: run the tests with `make test`, "
            "or run `python loraserve/bootstrap.py --for-tests` once",
            pytrace=False,
        )
    return apart.folder / "bin"


def missing(apart: Apart) -> dict[str, set[str]]:
    """What each package of an environment asks for and does not find there; all else must be as it asks."""
    pip = [sys.executable, "-m", "pip", "--python", str(apart.folder), "check"]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    # "sagemaker-core 2.27.0 requires mock, which is not installed."
    told = [line.split(" ") for line in done.stdout.splitlines() if line != "No broken requirements found."]
    assert [" ".join(line) for line in told if line[4:] != ["which", "is", "not", "installed."]] == []
    found: dict[str, set[str]] = {}
    for line in told:
        found.setdefault(line[0], set()).add(line[3].rstrip(","))
    return found
