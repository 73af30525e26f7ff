"""Requirements of a sandbox on the machine."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator

from laptop_cloud.containers.sandbox.bubblewrap import PROGRAM
from laptop_cloud.containers.sandbox.errors import SandboxRefused


def problems() -> Iterator[SandboxRefused]:
    """Yield what the machine lacks, each with its remedy. Only a start tells whether mounts are allowed."""
    if platform.system() != "Linux":
        yield SandboxRefused(
            f"images run on Linux, not on {platform.system()}",
            "use a Linux machine, or run the containers as processes (the default)",
        )
        return
    if os.geteuid() != 0:
        yield SandboxRefused("images run as root, with mounts and namespaces", "start the command with sudo")
    if shutil.which(PROGRAM) is None:
        yield SandboxRefused(
            f"bubblewrap is missing (no {PROGRAM} on PATH)", "install it: apt-get install bubblewrap"
        )


def check() -> None:
    """Raise the first of `problems`."""
    for problem in problems():
        raise problem
