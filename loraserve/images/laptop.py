"""Real images on the laptop: what they need on this machine, and the CDK CLI's environment.

The CDK CLI builds the image on a stand-in of its base (`loraserve/images/stand_in/`), pushes it to the laptop
cloud, and the laptop cloud pulls and runs it.
"""

from __future__ import annotations

import platform
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from loraserve.errors import UserError
from loraserve.images import tools
from loraserve.images.docker_command import PROGRAM, REGISTRY_VARIABLE

#: The stand-ins' Python, Debian 12's; vLLM's packages are compiled for one version.
_PYTHON: Final = (3, 11)
#: Where a stand-in finds the packages of its engine (`loraserve/images/stand_in/vllm/Dockerfile`).
_ENGINE_PACKAGES: Final = "/opt/engine/site-packages"


class ImagesUnavailable(UserError):
    """A machine on which real images cannot be built and run; the message is what it lacks."""


def check_machine() -> None:
    """Raise `ImagesUnavailable` unless images can be built and run here."""
    refused = tools.refusal()
    if refused is None and sys.version_info[:2] != _PYTHON:
        refused = (
            "the image's Python is 3.11 and takes vLLM's packages from this environment, which has Python "
            f"{platform.python_version()}: remove .venv and run make with PYTHON=python3.11"
        )
    if refused is not None:
        raise ImagesUnavailable(
            f"--images real: {refused}. By default (make up) a container is a process, without them"
        )


def engine_mounts() -> dict[str, Path]:
    """Return what the containers need and the stand-ins lack: vLLM's CPU build, of this environment."""
    return {_ENGINE_PACKAGES: Path(sysconfig.get_path("purelib"))}


@contextmanager
def cdk_environment(environment: Mapping[str, str], registry: str) -> Iterator[dict[str, str]]:
    """Yield the environment with which the CDK CLI builds images and pushes them to the laptop cloud.

    `registry` is its address, host and port. The token of ECR is in a file that is deleted with the block.
    """
    with TemporaryDirectory(prefix="lora-serving-") as folder:
        yield {
            **environment,
            "CDK_DOCKER": str(PROGRAM),
            REGISTRY_VARIABLE: registry,
            "REGISTRY_AUTH_FILE": str(Path(folder) / "auth.json"),
            "DOCKER_CONFIG": folder,
        }
