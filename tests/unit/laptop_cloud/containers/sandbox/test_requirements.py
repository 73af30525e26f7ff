"""Refusals of a machine that cannot run images: each names the remedy."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from laptop_cloud.containers.sandbox import requirements
from laptop_cloud.containers.sandbox.errors import SandboxRefused


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine that has everything."""
    (tmp_path / "bwrap").touch(mode=0o755)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    return monkeypatch


def test_a_machine_that_has_all_is_accepted(able: pytest.MonkeyPatch) -> None:
    requirements.check()


@pytest.mark.parametrize(("attribute", "value"), [("system", "Darwin"), ("machine", "aarch64")])
def test_another_platform_is_refused_with_the_way_that_works(
    able: pytest.MonkeyPatch, attribute: str, value: str
) -> None:
    able.setattr(platform, attribute, lambda: value)
    with pytest.raises(SandboxRefused, match=rf"not on .*{value}.*as processes \(the default\)"):
        requirements.check()


def test_another_user_and_a_missing_program_are_refused_with_the_remedy(
    able: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bwrap").unlink()
    with pytest.raises(SandboxRefused, match="apt-get install bubblewrap"):
        requirements.check()
    able.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SandboxRefused, match="sudo"):
        requirements.check()
