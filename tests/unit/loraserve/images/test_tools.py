"""The refusal of a machine that cannot build and run images, before anything is installed or started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loraserve.images import tools
from stacks.project import ROOT


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine that has everything."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return monkeypatch


def test_a_machine_that_has_everything_is_not_refused(able: pytest.MonkeyPatch) -> None:
    assert tools.refusal() is None


def test_missing_programs_are_named_by_their_packages(able: pytest.MonkeyPatch) -> None:
    able.setattr("shutil.which", lambda program: None if program == "bwrap" else "/usr/bin/x")
    assert tools.refusal() == "it needs bubblewrap: apt-get install --no-install-recommends bubblewrap"


def test_another_platform_and_another_user_are_named(able: pytest.MonkeyPatch) -> None:
    able.setattr(os, "geteuid", lambda: 1000)
    assert "root" in (tools.refusal() or "")
    able.setattr(sys, "platform", "darwin")
    able.setattr("platform.machine", lambda: "arm64")
    assert "darwin, arm64" in (tools.refusal() or "")


def test_the_command_runs_without_the_projects_packages_and_says_what_is_missing(tmp_path: Path) -> None:
    """In an isolated interpreter without site-packages, with an empty PATH."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "loraserve.images.tools"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert all(package in done.stderr for package in tools.PROGRAMS.values())
