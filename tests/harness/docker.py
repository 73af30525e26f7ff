"""A program that answers as Docker's command line does, for tests of what asks it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

#: Of `docker info --format '{{json .}}'`, Docker 28.2.2: the members that the CLI's reference names.
INFO = {
    "ID": "b2a1c3d4",
    "Containers": 0,
    "Driver": "overlay2",
    "KernelVersion": "6.8.0",
    "OperatingSystem": "Ubuntu 24.04.2 LTS",
    "OSType": "linux",
    "Architecture": "x86_64",
    "DockerRootDir": "/",
    "Name": os.uname().nodename,
    "ServerVersion": "28.2.2",
    "ClientInfo": {"Version": "28.2.2", "Os": "linux", "Arch": "amd64", "Context": "default"},
}
#: Standard error of Docker 28.2.2 without a server; exit code 1.
NO_SERVER = (
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
)
#: Standard error of Docker 28.2.2 without the plugin; exit code 1.
NO_BUILDX = "docker: unknown command: docker buildx\n\nRun 'docker --help' for more information"
#: Of `docker buildx inspect`, from the example in the CLI's reference.
BUILDX = """Name:          default
Driver:        docker
Last Activity: 2026-11-27 07:00:00 +0000 UTC

Nodes:
Name:             default
Endpoint:         default
Status:           running
BuildKit version: v0.22.0
Platforms:        {platforms}
Labels:
 org.mobyproject.buildkit.worker.moby.host-gateway-ip: 172.17.0.1
"""


class FakeDocker:
    """The program `docker` in a folder that comes first in PATH."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        patch.delenv("CDK_DOCKER", raising=False)
        patch.delenv("DOCKER_HOST", raising=False)
        self.answers(INFO)

    def answers(self, info: dict[str, object], platforms: str | None = None) -> None:
        """Answer `info`, and `buildx inspect` if there are platforms."""
        (self._folder / "info").write_text(json.dumps(info))
        buildx = f"cat <<'END'\n{BUILDX.format(platforms=platforms)}END" if platforms else fails(NO_BUILDX)
        self.write(
            f'case "$1" in\ninfo) cat {self._folder}/info ;;\nbuildx) {buildx}\n;;\n*) exit 125 ;;\nesac'
        )

    def has_no_server(self) -> None:
        """Fail as without a running server."""
        self.write(fails(NO_SERVER))

    def write(self, script: str) -> None:
        """Replace the program by a script."""
        program = self._folder / "docker"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)


def fails(message: str) -> str:
    """Return the shell commands that print a message to standard error and exit with 1."""
    return f"cat >&2 <<'END'\n{message}\nEND\nexit 1"
