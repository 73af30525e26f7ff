"""Options of the laptop cloud's server, as values and as arguments of its command line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Images and mounts of a server, its check of permissions, and its clock of autoscaling."""

    images: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names of additional images, `localhost/<name>`, that are processes of this machine; the command of
    each."""
    enforce_iam: bool = False
    """Refuse requests that the caller's IAM policies do not allow."""
    pull_images: bool = False
    """Pull the images of ECR and run them; needs Linux on x86-64, root, buildah and bubblewrap."""
    mounts: Mapping[str, Path] = field(default_factory=dict)
    """Read-only mounts of every container that runs from an image of ECR: path in the container, path of this
    machine. SageMaker has none: they are for what a stand-in of a base image lacks."""

    scaling_speed: float = 1.0
    """Speed of Application Auto Scaling's clock: at 10, an alarm that AWS raises after 30 seconds takes 3."""

    def arguments(self) -> list[str]:
        """Return the arguments of `python -m laptop_cloud`."""
        found = []
        for name, command in self.images.items():
            found += ["--image", f"{name}={shlex.join(command)}"]
        for inside, path in self.mounts.items():
            found += ["--mount", f"{inside}={path}"]
        return [
            *found,
            *(("--scaling-speed", f"{self.scaling_speed:g}") if self.scaling_speed != 1 else ()),
            *(("--enforce-iam",) if self.enforce_iam else ()),
            *(("--pull-images",) if self.pull_images else ()),
        ]
