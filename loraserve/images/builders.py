"""Builders of container images: docker, podman, or buildah, which needs no daemon.

All three build from the same Dockerfiles, for linux/amd64. Images have Docker's manifest format (version 2,
schema 2) and no attestations, because SageMaker has refused OCI manifests (docs/images.md).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

from loraserve.errors import UserError
from loraserve.images.processes import OnLine, ProgramFailed, ask, read_from, run
from stacks.project import DOCKER_MANIFEST

PLATFORM = "linux/amd64"
#: Names the builder to use, instead of the first that works.
VARIABLE = "LORASERVE_BUILDER"


class NoBuilder(UserError):
    """No builder works; the message has the reason of each, and the remedy."""


@dataclass(frozen=True)
class Builder(ABC):
    """A program that builds images and keeps them in a local store."""

    program: str
    """Path of the program."""
    name: ClassVar[str]

    def build(
        self,
        *,
        dockerfile: Path,
        context: Path,
        tag: str,
        build_args: Mapping[str, str] | None = None,
        secrets: Mapping[str, Path] | None = None,
        on_line: OnLine | None = None,
    ) -> None:
        """Build an image for linux/amd64 and store it as `tag`; raises `ProgramFailed`.

        Of `context` the build has what `DOCKERFILE.dockerignore` leaves, if that file exists. Times in the
        added layers are 1970-01-01, so that equal content has equal digests. `secrets` are files that a RUN
        with `--mount=type=secret,id=…` sees; no layer has them.
        """
        command = [*self._build_command(dockerfile, tag), "--platform", PLATFORM, "--file", str(dockerfile)]
        for name, value in (build_args or {}).items():
            command += ["--build-arg", f"{name}={value}"]
        for name, path in (secrets or {}).items():
            command += ["--secret", f"id={name},src={path}"]
        run([*command, str(context)], on_line=on_line)

    def has(self, image: str) -> bool:
        """Return whether the local store has the image."""
        try:
            self._inspect(image)
        except ProgramFailed:
            return False
        return True

    def layers_above(self, image: str, base: str) -> tuple[str, ...] | None:
        """Return the digests of the image's layers on top of those of `base`; None if it lacks those."""
        below, layers = self.diff_ids(base), self.diff_ids(image)
        return layers[len(below) :] if layers[: len(below)] == below else None

    def tag(self, image: str, name: str) -> None:
        """Give an image of the local store a further name."""
        run([self.program, "tag", image, name])

    def remove(self, image: str) -> None:
        """Remove a name from the local store, and the image with its last name."""
        run([self.program, "rmi", image])

    @abstractmethod
    def pull(self, image: str, *, on_line: OnLine | None = None) -> None:
        """Pull the image for linux/amd64 into the local store; raises `ProgramFailed`."""

    @abstractmethod
    def login(self, registry: str, user: str, password: str, *, tls: bool = True) -> None:
        """Store credentials of a registry for `push` and `pull`; `registry` is host and port."""

    @abstractmethod
    def push(self, image: str, target: str, *, tls: bool = True) -> None:
        """Push an image of the local store to `target`, in Docker's manifest format.

        `tls=False` also allows a registry without TLS or with an unknown certificate. Docker takes that from
        its daemon's configuration instead, which allows it for registries on loopback.
        """

    @abstractmethod
    def diff_ids(self, image: str) -> tuple[str, ...]:
        """Return the digests of the image's layers, uncompressed, the base's first."""

    @abstractmethod
    def image_id(self, image: str) -> str:
        """Return the digest of the image's configuration, which has the digests of all layers."""

    @abstractmethod
    def size(self, image: str) -> int:
        """Return the bytes of the image as the builder counts them: compressed for some that were pulled."""

    @abstractmethod
    def config(self, image: str) -> dict[str, Any]:
        """Return the image's `Entrypoint`, `Cmd`, `Env`, `WorkingDir`, … as Docker writes them."""

    @abstractmethod
    def save(self, image: str) -> AbstractContextManager[IO[bytes]]:
        """Yield the image as a stream in the format of `docker save`."""

    @abstractmethod
    def works(self) -> bool:
        """Return whether builds can be started, e.g. whether Docker's daemon answers."""

    @abstractmethod
    def _build_command(self, dockerfile: Path, tag: str) -> list[str]: ...

    @abstractmethod
    def _inspect(self, image: str) -> dict[str, Any]: ...


class Docker(Builder):
    """Docker with BuildKit, which has been its default since version 23."""

    name = "docker"

    def pull(self, image: str, *, on_line: OnLine | None = None) -> None:
        """See `Builder`."""
        run([self.program, "pull", "--quiet", "--platform", PLATFORM, image], on_line=on_line)

    def login(self, registry: str, user: str, password: str, *, tls: bool = True) -> None:
        """See `Builder`."""
        run([self.program, "login", "--username", user, "--password-stdin", registry], stdin=password)

    def push(self, image: str, target: str, *, tls: bool = True) -> None:
        """See `Builder`."""
        self.tag(image, target)
        run([self.program, "push", target])

    def diff_ids(self, image: str) -> tuple[str, ...]:
        """See `Builder`."""
        return tuple(self._inspect(image)["RootFS"]["Layers"])

    def image_id(self, image: str) -> str:
        """See `Builder`."""
        return f"sha256:{str(self._inspect(image)['Id']).removeprefix('sha256:')}"

    def size(self, image: str) -> int:
        """See `Builder`."""
        return int(self._inspect(image)["Size"])

    def config(self, image: str) -> dict[str, Any]:
        """See `Builder`."""
        return dict(self._inspect(image)["Config"])

    def save(self, image: str) -> AbstractContextManager[IO[bytes]]:
        """See `Builder`."""
        return read_from([self.program, "save", image])

    def works(self) -> bool:
        """See `Builder`."""
        # `docker buildx inspect` succeeds without a server, too.
        server = [self.program, "info", "--format", "{{.ServerVersion}}"]
        return _succeeds(server) and _succeeds([self.program, "buildx", "version"])

    def _build_command(self, dockerfile: Path, tag: str) -> list[str]:
        # BuildKit finds DOCKERFILE.dockerignore by its name. Docker's own driver unpacks what it builds, and
        # then refuses to rewrite times (https://github.com/docker/buildx/issues/2733).
        driver = re.search(r"^Driver:[ \t]*(\S+)", ask([self.program, "buildx", "inspect"]), re.MULTILINE)
        rewrite = "" if driver is None or driver[1] == "docker" else ",rewrite-timestamp=true"
        return [
            *(self.program, "buildx", "build", "--provenance=false", "--sbom=false", "--tag", tag),
            *("--build-arg", "SOURCE_DATE_EPOCH=0", "--output", f"{DOCKER_MANIFEST}{rewrite}"),
        ]

    def _inspect(self, image: str) -> dict[str, Any]:
        return _object(ask([self.program, "image", "inspect", image]))


class Podman(Docker):
    """Podman."""

    name = "podman"

    def login(self, registry: str, user: str, password: str, *, tls: bool = True) -> None:
        """See `Builder`."""
        command = [self.program, "login", f"--tls-verify={_flag(tls)}", "--username", user]
        run([*command, "--password-stdin", registry], stdin=password)

    def push(self, image: str, target: str, *, tls: bool = True) -> None:
        """See `Builder`."""
        run([self.program, "push", "--format", "v2s2", f"--tls-verify={_flag(tls)}", image, target])

    def save(self, image: str) -> AbstractContextManager[IO[bytes]]:
        """See `Builder`."""
        return read_from([self.program, "save", "--format", "docker-archive", image])

    def works(self) -> bool:
        """See `Builder`."""
        return _succeeds([self.program, "info"])

    def _build_command(self, dockerfile: Path, tag: str) -> list[str]:
        return [self.program, "build", "--network", "host", *_buildah_options(dockerfile, tag)]


class Buildah(Builder):
    """buildah: no daemon, and in isolation `chroot` no rights for namespaces or control groups."""

    name = "buildah"

    def pull(self, image: str, *, on_line: OnLine | None = None) -> None:
        """See `Builder`."""
        run([self.program, "pull", "--platform", PLATFORM, image], on_line=on_line)

    def login(self, registry: str, user: str, password: str, *, tls: bool = True) -> None:
        """See `Builder`."""
        command = [self.program, "login", f"--tls-verify={_flag(tls)}", "--username", user]
        run([*command, "--password-stdin", registry], stdin=password)

    def push(self, image: str, target: str, *, tls: bool = True) -> None:
        """See `Builder`."""
        run([self.program, "push", "--format", "v2s2", f"--tls-verify={_flag(tls)}", image, target])

    def diff_ids(self, image: str) -> tuple[str, ...]:
        """See `Builder`."""
        return tuple(self._inspect(image)["Docker"]["rootfs"]["diff_ids"])

    def image_id(self, image: str) -> str:
        """See `Builder`."""
        return f"sha256:{self._inspect(image)['FromImageID']}"

    def size(self, image: str) -> int:
        """See `Builder`."""
        manifest = json.loads(self._inspect(image)["Manifest"])
        return sum(layer["size"] for layer in manifest["layers"])

    def config(self, image: str) -> dict[str, Any]:
        """See `Builder`."""
        return dict(self._inspect(image)["Docker"]["config"])

    def save(self, image: str) -> AbstractContextManager[IO[bytes]]:
        """See `Builder`."""
        return read_from([self.program, "push", "--quiet", image, "docker-archive:/dev/stdout"])

    def works(self) -> bool:
        """See `Builder`."""
        return _succeeds([self.program, "info"])

    def _build_command(self, dockerfile: Path, tag: str) -> list[str]:
        isolation = os.environ.get("BUILDAH_ISOLATION", "chroot")
        command = [self.program, "build", "--isolation", isolation, "--network", "host"]
        return [*command, *_buildah_options(dockerfile, tag)]

    def _inspect(self, image: str) -> dict[str, Any]:
        return _object(ask([self.program, "inspect", "--type", "image", image]))


#: In the order in which they are tried.
BUILDERS: tuple[type[Builder], ...] = (Docker, Podman, Buildah)


def find_builder() -> Builder:
    """Return the first builder that works, or the one named in LORASERVE_BUILDER; raises `NoBuilder`."""
    wanted = os.environ.get(VARIABLE)
    known = {builder.name: builder for builder in BUILDERS}
    if wanted and wanted not in known:
        raise NoBuilder(f"{VARIABLE}={wanted}: use {', '.join(known)}, or unset it")
    reasons = []
    for builder in (known[wanted],) if wanted else BUILDERS:
        program = shutil.which(builder.name)
        if program is None:
            reasons.append(f"{builder.name} is not installed")
            continue
        found = builder(program)
        if found.works():
            return found
        reasons.append(f"{builder.name} does not work (run `{builder.name} info`)")
    raise NoBuilder(
        f"nothing here builds images: {'; '.join(reasons)}. Start Docker, or install buildah, which needs no "
        "daemon: `apt-get install buildah` in Debian 12, Ubuntu 24.04 and later"
    )


def _buildah_options(dockerfile: Path, tag: str) -> list[str]:
    """Return the options that podman and buildah share."""
    # One layer for all instructions; with --layers each has one, and a cache beside it.
    options = ["--layers=false", "--format", "docker", "--timestamp", "0", "--tag", tag]
    ignore = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
    return [*options, "--ignorefile", str(ignore)] if ignore.is_file() else options


def _flag(value: bool) -> str:
    return str(value).lower()


def _succeeds(command: list[str]) -> bool:
    try:
        ask(command)
    except (ProgramFailed, OSError):
        return False
    return True


def _object(output: str) -> dict[str, Any]:
    """Read one JSON object, or an array with one."""
    found = json.loads(output)
    return dict(found[0] if isinstance(found, list) else found)
