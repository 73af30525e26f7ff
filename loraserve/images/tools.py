"""Programs that build and run images on this machine without a container daemon.

    python -m loraserve.images.tools    exit code 2 if one of them, or a right, is missing

The module needs the standard library only: the Makefile runs it before the set-up.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys

#: Programs and the Debian packages that have them.
PROGRAMS = {"buildah": "buildah", "bwrap": "bubblewrap", "debootstrap": "debootstrap"}


def refusal() -> str | None:
    """Return what is missing and how to get it; None if images can be built and run here."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        here = f"{sys.platform}, {platform.machine()}"
        return f"it needs Linux on x86-64, the platform of the images; this is {here}"
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        return f"it needs {', '.join(missing)}: apt-get install --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0:
        return "it needs root, for mounts and network namespaces: run it with sudo"
    return None


def main() -> int:
    """Print the refusal; return the exit code."""
    refused = refusal()
    if refused is not None:
        print(f"building and running images here: {refused}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
