"""Real images on the laptop: what they need on this machine, and the CDK CLI's environment.

The CDK CLI builds the image on a stand-in of its base (`loraserve/images/stand_in/`), pushes it to the laptop
cloud, and the laptop cloud pulls and runs it.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from loraserve.errors import UserError
from loraserve.images.docker_command import PROGRAM, REGISTRY_VARIABLE

#: Programs, and their Debian and Ubuntu packages.
_PACKAGES: Final = {"buildah": "buildah", "bwrap": "bubblewrap", "debootstrap": "debootstrap"}
#: The stand-ins' Python, Debian 12's; vLLM's packages are compiled for one version.
_PYTHON: Final = (3, 11)
#: Where a stand-in finds the packages of its engine (`loraserve/images/stand_in/vllm/Dockerfile`).
_ENGINE_PACKAGES: Final = "/opt/engine/site-packages"


class ImagesUnavailable(UserError):
    """A machine on which real images cannot be built and run; the message is what it lacks."""


def check_machine() -> None:
    """Raise `ImagesUnavailable` unless images can be built and run here."""
    lacking = list(_lacking())
    if lacking:
        raise ImagesUnavailable(
            "real images need more than this machine has:\n"
            + "\n".join(f"- {problem}" for problem in lacking)
            + "\nWithout IMAGES=real nothing of this is needed: the containers are processes."
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


def _lacking() -> Iterator[str]:
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        yield f"Linux on x86-64, for which SageMaker's images are built: this is {system} on {machine}"
        return
    if os.geteuid() != 0:
        yield "root, for mounts and namespaces: run the command with sudo"
    # An account that is not root may have no sbin in its PATH, where debootstrap is.
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = [package for program, package in _PACKAGES.items() if shutil.which(program, path=path) is None]
    if missing:
        yield f"{', '.join(missing)}: apt-get install --no-install-recommends {' '.join(missing)}"
    if sys.version_info[:2] != _PYTHON:
        yield (
            "Python 3.11, because the image's Python is 3.11 and takes vLLM from this environment, which has "
            f"{platform.python_version()}: remove .venv and make it with PYTHON=python3.11"
        )
