"""Docker: it answers, builds for SageMaker's platform, and has disk for the image.

The CDK CLI builds with the program in CDK_DOCKER, `docker` by default. `docker info --format json` and
`docker buildx inspect` are documented in Docker's CLI reference; Finch and nerdctl answer the first the same
way, and podman with other fields, which are read too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loraserve.aws import Client
from loraserve.doctor.deployment import Deployment, ImageBuild
from loraserve.errors import UserError
from loraserve.finding import Finding, ok, problem, unknown
from stacks.config.stage_config import LoadedStage

_SECONDS = 15
#: Names of the machine (`uname -m`) and of platforms (GOARCH).
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_EMULATE = "`docker run --privileged --rm tonistiigi/binfmt --install {architecture}`"
_GIB = 2**30


class DockerFailed(UserError):
    """A command that failed; the message is its reason."""


@dataclass(frozen=True)
class Daemon:
    """The server that builds images."""

    system: str
    """`linux` or `windows`."""
    architecture: str
    """E.g. `amd64`."""
    version: str
    root: Path | None
    """Folder of images on the server."""
    is_here: bool
    """True if `root` is on this machine's disk, not in a virtual machine or on another host."""
    is_podman: bool


def check(deployment: Deployment, _stage: LoadedStage, _client: Client) -> Iterator[Finding]:
    """Ask Docker for its server and platforms; with an existing image, it is not needed."""
    if not deployment.images:
        yield ok("Docker", "not needed: the stage uses an existing image")
        return
    program = os.environ.get("CDK_DOCKER", "docker")
    try:
        daemon = parse_info(_run(program, "info", "--format", "{{json .}}"))
    except FileNotFoundError:
        yield problem("Docker", f"there is no {program!r}", "install Docker, or correct CDK_DOCKER")
        return
    except DockerFailed as error:
        yield problem(
            "Docker", f"{program} does not answer: {error}", "start Docker; check the rights on its socket"
        )
        return
    if daemon.is_podman:
        yield problem(
            "Docker",
            f"{program} is podman, which lacks the option --output type=docker of the image's build",
            "use Docker; or build with make images, push with podman push --format v2s2, and set the image's "
            "URI as `image` of the stage",
        )
        return
    yield ok("Docker", f"{program} answers: server {daemon.version}, {daemon.system}/{daemon.architecture}")
    for platform in dict.fromkeys(image.platform for image in deployment.images if image.platform):
        yield _builds(program, daemon, platform)
    yield _disk(daemon, deployment.images)


def parse_info(text: str) -> Daemon:
    """Read the output of `docker info --format '{{json .}}'`; raises `DockerFailed`."""
    try:
        info = json.loads(text)
    except ValueError:
        raise DockerFailed(f"its information is not JSON: {text[:80]!r}") from None
    if errors := info.get("ServerErrors"):
        raise DockerFailed("; ".join(errors))
    podman = info.get("host", {})
    architecture = info.get("Architecture") or podman.get("arch", "")
    root = info.get("DockerRootDir") or info.get("store", {}).get("graphRoot")
    return Daemon(
        system=info.get("OSType") or podman.get("os", ""),
        architecture=_ARCHITECTURES.get(architecture, architecture),
        version=info.get("ServerVersion") or info.get("version", {}).get("Version", ""),
        root=Path(root) if root else None,
        is_here=bool(root) and _is_here(info, os.environ),
        is_podman=bool(podman),
    )


def parse_platforms(text: str) -> set[str]:
    """Read the platforms in the output of `docker buildx inspect`; `*` marks those set by hand."""
    found = re.findall(r"^Platforms:(.*)$", text, re.MULTILINE)
    return {name.strip().rstrip("*") for line in found for name in line.split(",")} - {""}


def _is_here(info: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    # Docker Desktop, colima and the like run the server in a virtual machine with another host name.
    remote = environment.get("DOCKER_HOST", "unix://")
    same_host = info.get("Name", os.uname().nodename) == os.uname().nodename
    return remote.startswith("unix://") and same_host and info.get("OperatingSystem") != "Docker Desktop"


def _builds(program: str, daemon: Daemon, platform: str) -> Finding:
    title = f"build for {platform}"
    system, _, architecture = platform.partition("/")
    if daemon.system and daemon.system != system:
        return problem(
            title, f"the server builds for {daemon.system}", f"switch Docker to {system} containers"
        )
    if daemon.architecture == architecture:
        return ok(title, "natively")
    try:
        platforms = parse_platforms(_run(program, "buildx", "inspect"))
    except DockerFailed as error:
        return unknown(title, f"the server is {daemon.architecture}; `{program} buildx inspect`: {error}")
    if platform in platforms:
        return ok(title, f"by emulation on {daemon.architecture}, slower than natively")
    return problem(
        title,
        f"the server builds for {', '.join(sorted(platforms)) or 'no known platform'}",
        f"install emulation: {_EMULATE.format(architecture=architecture)}",
    )


def _disk(daemon: Daemon, images: tuple[ImageBuild, ...]) -> Finding:
    """Report the free disk; the registry's sizes are not known before the pull, so it is never ✓."""
    title, bases = "disk for the image", ", ".join(image.base or "the image" for image in images)
    if daemon.root is None or not daemon.is_here:
        return unknown(
            title, "Docker stores images in a virtual machine or on another host", "see its settings"
        )
    try:
        free = shutil.disk_usage(daemon.root).free
    except OSError as error:
        return unknown(title, f"{daemon.root}: {error.strerror}")
    found = f"{free / _GIB:.0f} GiB free in {daemon.root}"
    return unknown(title, f"{found}; the size of {bases} is not known before its pull, expect tens of GB")


def _run(program: str, *arguments: str) -> str:
    """Run a read-only command; raises `FileNotFoundError` and `DockerFailed`."""
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise DockerFailed(f"no answer within {_SECONDS} s") from None
    except PermissionError as error:
        raise DockerFailed(str(error)) from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise DockerFailed(lines[-1] if lines else f"exit code {done.returncode}")
    return done.stdout
