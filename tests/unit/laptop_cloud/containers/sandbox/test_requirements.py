"""A machine that cannot run images is told what to install or to change."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from laptop_cloud.containers.sandbox import requirements
from laptop_cloud.containers.sandbox.errors import SandboxRefused


def said() -> list[str]:
    return [str(problem) for problem in requirements.problems()]


def test_macos_is_refused_with_the_way_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    [problem] = said()
    assert problem.startswith("images run on Linux, not on Darwin")
    assert "as processes (the default)" in problem


def test_all_problems_are_listed_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    root, tool = said()
    assert "sudo" in root
    assert "apt-get install bubblewrap" in tool
    with pytest.raises(SandboxRefused, match="sudo"):
        requirements.check()


def test_a_machine_that_has_all_is_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bwrap").touch(mode=0o755)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    requirements.check()
