"""Refusal of a machine that lacks wheels of the pinned packages, before anything is downloaded.

tests/unit/loraserve/setup/test_wheels.py compares the minimum versions with the package index.
"""

from __future__ import annotations

import os
import platform
from typing import NamedTuple

from loraserve.setup.errors import SetupError

#: Minimum glibc by level: Node's wheel (deploy), llguidance's (laptop).
DEPLOY_GLIBC = (2, 28)
LAPTOP_GLIBC = (2, 31)
#: Node's wheel.
DEPLOY_MACOS = (13, 0)
MACHINES = ("x86_64", "aarch64", "arm64")

DEV_CONTAINER = (
    "Use the dev container (.devcontainer/), which needs Docker: VS Code's command 'Dev Containers: Reopen "
    "in Container', or the devcontainer CLI's `devcontainer up --workspace-folder .`."
)
_WORKS_HERE = "synth, diff, bootstrap, doctor, deploy and the adapters commands work here."


class Machine(NamedTuple):
    """Operating system and processor architecture."""

    system: str
    """`Linux`, `Darwin` or `Windows`."""
    architecture: str
    """As `uname -m` reports it, e.g. `x86_64`."""
    version: tuple[int, ...]
    """Of glibc in Linux, empty with another C library; of macOS; otherwise empty."""

    @property
    def description(self) -> str:
        """Name, version and architecture for a message."""
        version = ".".join(map(str, self.version))
        name = {"Darwin": f"macOS {version}", "Linux": f"Linux with glibc {version}"}.get(self.system)
        if self.system == "Linux" and not version:
            name = "Linux without glibc"
        return f"{name or self.system} on {self.architecture}"


def this_machine() -> Machine:
    """Describe the machine that this process runs on."""
    system = platform.system()
    return Machine(system, platform.machine(), _version(system))


def check(level: str, machine: Machine) -> None:
    """Raise `SetupError` if a pinned package of the level has no wheel for the machine."""
    if not _fits(machine, DEPLOY_GLIBC, DEPLOY_MACOS):
        raise SetupError(
            f"the pinned packages have no wheels for {machine.description}: they need Linux (x86-64 or "
            f"arm64, glibc {_text(DEPLOY_GLIBC)} or later) or macOS {DEPLOY_MACOS[0]} or later. "
            f"{DEV_CONTAINER}"
        )
    if level not in ("deploy", "scan") and not _fits(machine, LAPTOP_GLIBC, None):
        raise SetupError(
            "the laptop cloud runs vLLM's CPU build, which has wheels for Linux only (x86-64 or arm64, "
            f"glibc {_text(LAPTOP_GLIBC)} or later), and this is {machine.description}. {DEV_CONTAINER} "
            f"{_WORKS_HERE}"
        )


def _fits(machine: Machine, glibc: tuple[int, ...], macos: tuple[int, ...] | None) -> bool:
    minimum = {"Linux": glibc, "Darwin": macos}.get(machine.system)
    return minimum is not None and machine.architecture in MACHINES and machine.version >= minimum


def _version(system: str) -> tuple[int, ...]:
    if system == "Darwin":
        return _numbers(platform.mac_ver()[0])
    if system == "Linux":
        try:
            name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        except (ValueError, OSError):  # another C library, such as musl
            return ()
        return _numbers(version) if name == "glibc" else ()
    return ()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
