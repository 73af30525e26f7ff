"""Runs the container of a file that `SandboxSpec.command` wrote; exits with the status of its PID 1."""

from __future__ import annotations

import sys
from pathlib import Path

from laptop_cloud.containers.sandbox.errors import SandboxRefused
from laptop_cloud.containers.sandbox.main import run
from laptop_cloud.containers.sandbox.spec import SandboxSpec
from laptop_cloud.ports import PortTaken

#: `docker run`'s exit status if the container was not started.
_NOT_STARTED = 125

if __name__ == "__main__":
    try:
        sys.exit(run(SandboxSpec.read(Path(sys.argv[1]))))
    except (SandboxRefused, PortTaken) as error:
        print(error, file=sys.stderr)
        sys.exit(_NOT_STARTED)
