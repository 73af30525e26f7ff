"""The container to run, and the file in which it is passed to the sandbox's process."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

from laptop_cloud.containers.sandbox.image_config import ImageConfig

#: Bytes that a container can write on `/`. On instance types with NVMe, such as g5, the root volume is small
#: and has the image on it, and the large disk is at /tmp. AWS documents no size: this one has room for small
#: files in home and cache directories, and none for a download, which a tmpfs would take from memory.
ROOT_BYTES: Final = 64 * 2**20
_FILE: Final = "sandbox.json"


@dataclass(frozen=True, kw_only=True)
class SandboxSpec:
    """One container."""

    layers: tuple[Path, ...]
    """Directories of the image's root file system, the uppermost layer first; they are not written to."""
    image: ImageConfig
    environment: Mapping[str, str]
    """Variables over those of the image."""
    directory: Path
    """The instance's files: `model/` is /opt/ml/model, `tmp/` is /tmp. Both exist."""
    port: int
    """The port of the host's 127.0.0.1 that reaches the container's port 8080."""
    endpoint_port: int
    """The port of AWS on 127.0.0.1, for the host and in the container."""
    mounts: Mapping[str, Path] = field(default_factory=dict)
    """Further read-only mounts: path in the container, path of the host."""
    root_bytes: int = ROOT_BYTES
    """Bytes that the container can write on `/`."""

    def command(self) -> list[str]:
        """Write the file for the sandbox's process, and return its command line.

        The file is in the instance's directory, for this user alone: it has the role's token.
        """
        file = self.directory / _FILE
        file.touch(mode=0o600)
        file.write_text(json.dumps(asdict(self), default=str))
        return [sys.executable, "-m", __package__, str(file)]

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a file that `command` wrote."""
        document = json.loads(file.read_text())
        image = document["image"]
        return cls(
            layers=tuple(map(Path, document["layers"])),
            image=ImageConfig(
                entrypoint=tuple(image["entrypoint"]),
                cmd=tuple(image["cmd"]),
                env=image["env"],
                working_dir=image["working_dir"],
            ),
            environment=document["environment"],
            directory=Path(document["directory"]),
            port=document["port"],
            endpoint_port=document["endpoint_port"],
            mounts={inside: Path(path) for inside, path in document["mounts"].items()},
            root_bytes=document["root_bytes"],
        )
