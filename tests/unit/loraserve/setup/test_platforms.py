"""Machines without wheels are refused in a sentence, before anything is downloaded."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from loraserve.setup import platforms
from loraserve.setup.errors import SetupError
from loraserve.setup.platforms import Machine, check, this_machine
from stacks.project import ROOT

DEBIAN = Machine("Linux", "x86_64", (2, 36))
MAC = Machine("Darwin", "arm64", (14, 5))


def refusal(level: str, machine: Machine) -> str | None:
    try:
        check(level, machine)
    except SetupError as error:
        return str(error)
    return None


@pytest.mark.parametrize("level", ["deploy", "laptop", "check", "tests"])
@pytest.mark.parametrize("machine", [DEBIAN, DEBIAN._replace(architecture="aarch64")])
def test_linux_with_glibc_has_all_levels(level: str, machine: Machine) -> None:
    assert refusal(level, machine) is None


def test_a_mac_has_the_deployment_and_is_sent_to_the_dev_container_for_the_rest() -> None:
    assert refusal("deploy", MAC) is None
    assert refusal("scan", MAC) is None
    for level in ("laptop", "check", "tests"):
        found = refusal(level, MAC)
        assert found is not None
        assert "vLLM's CPU build, which has wheels for Linux only" in found
        assert "this is macOS 14.5 on arm64" in found
        assert ".devcontainer/" in found
        assert "deploy and the adapters commands work here" in found


@pytest.mark.parametrize(
    ("machine", "named"),
    [
        (Machine("Linux", "x86_64", (2, 26)), "Linux with glibc 2.26 on x86_64"),
        (Machine("Linux", "x86_64", ()), "Linux without glibc on x86_64"),
        (Machine("Linux", "ppc64le", (2, 36)), "Linux with glibc 2.36 on ppc64le"),
        (Machine("Darwin", "arm64", (12, 6)), "macOS 12.6 on arm64"),
        (Machine("Windows", "AMD64", ()), "Windows on AMD64"),
    ],
)
def test_a_machine_without_wheels_for_a_deployment_is_named(machine: Machine, named: str) -> None:
    found = refusal("deploy", machine)
    assert found is not None
    assert named in found
    assert ".devcontainer/" in found


def test_an_old_glibc_has_the_deployment_only() -> None:
    ubuntu_18 = Machine("Linux", "x86_64", (2, 30))
    assert refusal("deploy", ubuntu_18) is None
    assert "glibc 2.31 or later" in str(refusal("laptop", ubuntu_18))


def test_the_machine_of_the_tests_is_described() -> None:
    assert this_machine().system == platform.system()
    assert refusal("tests", this_machine()) is None
    assert len(this_machine().version) == 2


def test_the_refusal_is_the_only_thing_that_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from loraserve.setup import steps  # noqa: PLC0415

    monkeypatch.setattr(platforms, "this_machine", lambda: MAC)
    monkeypatch.setattr(steps, "VENV", tmp_path / "venv")
    monkeypatch.setattr(steps, "_deploy", lambda: pytest.fail("a step was done"))
    with pytest.raises(SystemExit) as ended:
        steps.set_up("laptop")
    assert "Linux only" in str(ended.value.code)
    assert list(tmp_path.iterdir()) == []


def test_a_level_that_does_not_exist_is_refused() -> None:
    command = [sys.executable, "-m", "loraserve.setup", "everything"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert done.returncode == 1
    assert done.stderr == "usage: python -m loraserve.setup deploy|laptop|check|tests|scan|tour\n"
