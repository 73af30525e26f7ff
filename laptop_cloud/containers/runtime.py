"""Two ways to run a container: a process of this repository, and an image's command in a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from laptop_cloud.api.account import Account
from laptop_cloud.containers.environment import DIRECTORIES, container_environment, sandbox_environment
from laptop_cloud.containers.sandbox.image_config import ImageConfig
from laptop_cloud.containers.sandbox.spec import SandboxSpec
from laptop_cloud.ports import free_port, free_ports


@dataclass(frozen=True, kw_only=True)
class StartCommand:
    """The process to start for a container."""

    command: list[str]
    environment: Mapping[str, str] | None
    """All variables of the process; None for those of this process."""
    url: str
    """The container's URL for the platform."""


class ContainerRuntime(Protocol):
    """A way to run one container.

    SIGTERM to the process is for the container's PID 1. The container ends with the process.
    """

    def prepare(self, directory: Path) -> StartCommand:
        """Make the files of a start in the instance's directory, which has the model data in `model/`."""
        ...


@dataclass(frozen=True, kw_only=True)
class ProcessRuntime:
    """A process on the host, which listens on 127.0.0.1."""

    command: list[str]
    environment: Mapping[str, str]
    """The model's environment variables."""
    account: Account
    endpoint_url: str
    """The URL of AWS for the container."""
    credentials: Mapping[str, str]
    """The environment variables for the role's credentials."""

    def prepare(self, directory: Path) -> StartCommand:
        """Make the container's directories, and find free ports for it and its engine."""
        for name in DIRECTORIES:
            (directory / name).mkdir(parents=True, exist_ok=True)
        port, engine_port = free_ports(2)
        return StartCommand(
            command=self.command,
            environment=container_environment(
                self.environment,
                directory=directory,
                account=self.account,
                endpoint_url=self.endpoint_url,
                port=port,
                engine_port=engine_port,
                credentials=self.credentials,
            ),
            url=f"http://127.0.0.1:{port}",
        )


@dataclass(frozen=True, kw_only=True)
class SandboxRuntime:
    """An image's command in its root file system: `laptop_cloud.containers.sandbox` runs it."""

    layers: tuple[Path, ...]
    """Directories of the image's root file system, the uppermost layer first."""
    image: ImageConfig
    environment: Mapping[str, str]
    """The model's environment variables."""
    endpoint_url: str
    """The URL of AWS on 127.0.0.1; the container has the same."""
    credentials: Mapping[str, str]
    """The environment variables for the role's credentials."""
    mounts: Mapping[str, Path] = field(default_factory=dict)
    """Further read-only mounts: path in the container, path of the host."""

    def prepare(self, directory: Path) -> StartCommand:
        """Write the sandbox's file, and find a free port of the host for it."""
        (directory / "tmp").mkdir(parents=True)
        port = free_port()
        spec = SandboxSpec(
            layers=self.layers,
            image=self.image,
            environment=sandbox_environment(self.environment, self.endpoint_url, self.credentials),
            directory=directory,
            port=port,
            endpoint_port=urlsplit(self.endpoint_url).port or 80,
            mounts=self.mounts,
        )
        return StartCommand(command=spec.command(), environment=None, url=f"http://127.0.0.1:{port}")
