"""Requirements of a sandbox on the machine."""

from __future__ import annotations

import os
import platform
import shutil

from laptop_cloud.containers.sandbox.bubblewrap import PROGRAM
from laptop_cloud.containers.sandbox.errors import SandboxRefused


def check() -> None:
    """Raise `SandboxRefused`, with the remedy, for the first thing that the machine lacks.

    Whether mounts are allowed shows at a start.
    """
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise SandboxRefused(
            f"images run on Linux on x86-64, not on {platform.system()} on {platform.machine()}",
            "use such a machine, or run the containers as processes (the default)",
        )
    if os.geteuid() != 0:
        raise SandboxRefused("images run as root, with mounts and namespaces", "start the command with sudo")
    if shutil.which(PROGRAM) is None:
        raise SandboxRefused(
            f"bubblewrap is missing (no {PROGRAM} on PATH)", "install it: apt-get install bubblewrap"
        )
