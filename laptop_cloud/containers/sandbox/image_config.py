"""An image's configuration, as `docker run` applies it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from laptop_cloud.containers.sandbox.errors import SandboxRefused

#: SageMaker's argument: it runs `docker run IMAGE serve`.
#: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
SERVE = "serve"
_ROOT_USERS = ("", "0", "0:0", "root", "root:root", "root:0", "0:root")


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """Members of an OCI image's `config` that start a process.

    https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md
    """

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read an image's configuration blob (OCI or Docker), or `docker inspect`'s object of an image.

        Raises:
            SandboxRefused: the image starts as another user than root.
        """
        # OCI's member is `config`, `docker inspect`'s is `Config`.
        config = document.get("config") or document.get("Config") or {}
        user = config.get("User") or ""
        if user not in _ROOT_USERS:
            raise SandboxRefused(
                f"the image starts as the user {user!r}, but the laptop cloud runs images as root",
                "remove USER from its Dockerfile",
            )
        return cls(
            entrypoint=tuple(config.get("Entrypoint") or ()),
            cmd=tuple(config.get("Cmd") or ()),
            env=dict(entry.partition("=")[::2] for entry in config.get("Env") or ()),
            working_dir=config.get("WorkingDir") or "/",
        )

    def command(self) -> list[str]:
        """Return the command of PID 1: the argument `serve` replaces `cmd`."""
        return [*self.entrypoint, SERVE]
