"""A small image: a root file system of two layers with the system and the Python of this machine mounted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from laptop_cloud.containers.sandbox.image_config import ImageConfig
from stacks.project import ROOT
from tests.harness.sandbox import SandboxedContainer

#: Directories that Debian's root file system has as links to /usr.
_MERGED = ("bin", "sbin", "lib", "lib64")
PYTHON = f"{sys.base_prefix}/bin/python3"
PROBE = "/opt/probe/probe.py"
IMAGE = ImageConfig(
    entrypoint=(PYTHON, PROBE),
    cmd=("replaced",),
    env={"FROM_IMAGE": "image", "OVERRIDDEN": "image", "PYTHONDONTWRITEBYTECODE": "1"},
    working_dir="/opt/probe",
)
MOUNTS = {"/usr": Path("/usr"), sys.base_prefix: Path(sys.base_prefix)}


def small_layers(folder: Path) -> list[Path]:
    """Make the image's layers; the uppermost is the first."""
    lower, upper = folder / "lower", folder / "upper"
    for name in _MERGED:
        lower.mkdir(parents=True, exist_ok=True)
        (lower / name).symlink_to(f"usr/{name}")
    for path in ("etc", "root", "opt/probe"):
        (lower / path).mkdir(parents=True)
    (lower / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (lower / "etc" / "layer").write_text("lower")
    (upper / "etc").mkdir(parents=True)
    (upper / "etc" / "layer").write_text("upper")
    (upper / "opt" / "probe").mkdir(parents=True)
    (upper / "opt" / "probe" / "probe.py").write_bytes((ROOT / "tests" / "images" / "probe.py").read_bytes())
    return [upper, lower]


def probe_container(folder: Path, *, image: ImageConfig = IMAGE, **options: Any) -> SandboxedContainer:
    """Return the container of the small image, not started. `options` are `SandboxedContainer`'s."""
    mounts = {**MOUNTS, **options.pop("mounts", {})}
    return SandboxedContainer(small_layers(folder), image, folder / "instance", mounts=mounts, **options)


def python_container(folder: Path, code: str, **options: Any) -> SandboxedContainer:
    """Return a container whose PID 1 is Python with this code, not started."""
    image = ImageConfig(entrypoint=(PYTHON, "-c", code))
    return probe_container(folder, image=image, **options)
