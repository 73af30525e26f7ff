"""The pinned packages have wheels for each platform and Python version that the set-up accepts, and no others.

uv resolves the pins as on the other machine. It reads the index's pages and downloads no package, but needs the
index: without a network these tests are skipped.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from loraserve.requirements import ON_TOP, SEPARATE, TOGETHER, uv_environment
from loraserve.setup.packages import pins
from loraserve.setup.platforms import DEPLOY_GLIBC, DEPLOY_MACOS, LAPTOP_GLIBC
from loraserve.setup.python_versions import NEWEST, OLDEST
from stacks.project import ROOT

UV = str(Path(sys.prefix) / "bin" / "uv")
PYTHONS = [f"3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
#: uv's errors if the index does not answer.
OFFLINE = ("Failed to fetch", "error sending request", "dns error", "Connection refused")


def manylinux(architecture: str, glibc: tuple[int, ...]) -> str:
    return f"{architecture}-manylinux_{glibc[0]}_{glibc[1]}"


DEPLOY = [
    manylinux("x86_64", DEPLOY_GLIBC),
    manylinux("aarch64", DEPLOY_GLIBC),
    "aarch64-apple-darwin",
    "x86_64-apple-darwin",
]
LAPTOP = [manylinux("x86_64", LAPTOP_GLIBC), manylinux("aarch64", LAPTOP_GLIBC)]


def uv(*arguments: str, macos: tuple[int, ...] = DEPLOY_MACOS) -> str | None:
    """Run uv from the repository root; returns the error if it fails."""
    environment = uv_environment() | {"MACOSX_DEPLOYMENT_TARGET": ".".join(map(str, macos))}
    done = subprocess.run(
        [UV, "pip", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return None
    if any(sign in done.stderr for sign in OFFLINE):
        pytest.skip(f"the package index does not answer: {done.stderr.strip()}")
    return done.stderr


def missing(
    tmp_path: Path, platform: str, python: str, *files: str, macos: tuple[int, ...] = DEPLOY_MACOS
) -> str | None:
    """The error of an installation of the files' pins on another machine; None if each pin has a wheel.

    Left out are builds with a local version (torch's `+cpu`): PyTorch's index has them, and each index that
    stands in for it has those of its machine.
    """
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("\n".join(pin for pin in pins(files) if "+" not in pin))
    machine = ("--python-platform", platform, "--python-version", python, "--only-binary", ":all:")
    target = ("--target", str(tmp_path / "target"), "--requirement", str(requirements))
    return uv("install", "--quiet", "--dry-run", "--no-deps", *machine, *target, macos=macos)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", DEPLOY)
def test_a_deployments_packages_have_wheels(tmp_path: Path, platform: str, python: str) -> None:
    assert missing(tmp_path, platform, python, "requirements.txt") is None


@pytest.mark.parametrize(
    "files", [TOGETHER, *([file] for file in (*ON_TOP, *SEPARATE))], ids=lambda files: files[-1]
)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", LAPTOP)
def test_the_packages_of_the_other_levels_have_wheels(
    tmp_path: Path, platform: str, python: str, files: Sequence[str]
) -> None:
    # soupsieve, of requirements-scan.txt, asks for 3.11.5 at least.
    assert missing(tmp_path, platform, python.replace("3.11", "3.11.5"), *files) is None


def test_the_bounds_are_not_stricter_than_the_wheels(tmp_path: Path) -> None:
    def found(platform: str, python: str, *files: str, macos: tuple[int, ...] = DEPLOY_MACOS) -> str:
        error = missing(tmp_path, platform, python, *files, macos=macos)
        assert error is not None, f"{files} have wheels for {platform} and Python {python}"
        return error

    before, after = (f"3.{minor}" for minor in (OLDEST[1] - 1, NEWEST[1] + 1))
    for platform in DEPLOY:
        found(platform, before, "requirements.txt")
    found(DEPLOY[0], after, "requirements-local.txt")
    assert "no usable wheels" in found("x86_64-manylinux_2_17", PYTHONS[0], "requirements.txt")
    assert "no usable wheels" in found("aarch64-apple-darwin", PYTHONS[0], "requirements.txt", macos=(12, 0))
    assert "llguidance" in found("x86_64-manylinux_2_28", PYTHONS[0], "requirements-local.txt")
    assert "no usable wheels" in found("aarch64-apple-darwin", PYTHONS[0], "requirements-local.txt")


@pytest.mark.parametrize("python", ["3.11.5", PYTHONS[-1]])
@pytest.mark.parametrize("platform", DEPLOY)
def test_no_dependency_is_missing_on_another_platform(tmp_path: Path, platform: str, python: str) -> None:
    """The pins are resolved for Linux on x86-64 and Python 3.11, and installed without dependencies."""
    output, constraints = tmp_path / "resolved.txt", tmp_path / "constraints.txt"
    pinned = pins(["requirements.txt"])
    constraints.write_text("\n".join(pinned))
    quiet = ("--quiet", "--no-header", "--no-annotate", "--output-file", str(output))
    machine = ("--python-platform", platform, "--python-version", python, "--constraints", str(constraints))
    assert uv("compile", *quiet, *machine, "requirements.in") is None
    assert set(output.read_text().split("\n")) - {""} <= set(pinned)


def test_the_environment_of_uv_has_no_other_settings() -> None:
    assert {name for name in uv_environment() if name not in os.environ} <= {
        "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_PYTHON_DOWNLOADS",
    }  # fmt: skip
