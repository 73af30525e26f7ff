"""The stand-ins in the builder's store, built when they are missing."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loraserve.images.builders import Builder, find_builder
from loraserve.images.processes import OnLine
from loraserve.images.stand_in import debian
from stacks.config.base_images import build_argument

_FOLDER = Path(__file__).parent
_DEBIAN = _FOLDER / "debian" / "Dockerfile"
#: In an engine's folder: build arguments that its image needs only on the stand-in. LoRAX's image takes a
#: second Python from a download that may be out of reach; with this version, uv finds the stand-in's.
_ARGUMENTS = "build-arguments.json"


def stand_in_base(engine: str, builder: Builder | None = None, on_line: OnLine | None = None) -> str:
    """Return the reference of the engine's stand-in in the builder's store; it is built if it is missing.

    Its tag is a hash of its definition. Raises `NoBuilder`, `NoDebian` or `ProgramFailed`.
    """
    builder = builder or find_builder()
    dockerfile = _FOLDER / engine / "Dockerfile"
    image = stand_in_reference(engine)
    with _one_at_a_time():
        if not builder.has(image):
            builder.build(
                dockerfile=dockerfile,
                context=dockerfile.parent,
                tag=image,
                build_args={"DEBIAN": _debian(builder, on_line)},
                on_line=on_line,
            )
    return image


def stand_in_reference(engine: str) -> str:
    """Return the reference that the engine's stand-in has in the builder's store, if it is there."""
    return _reference(engine, _FOLDER / engine / "Dockerfile")


def stand_in_arguments(
    engine: str, builder: Builder | None = None, on_line: OnLine | None = None
) -> dict[str, str]:
    """Return the build arguments of `container/<engine>/Dockerfile` for a build from the stand-in."""
    arguments = _FOLDER / engine / _ARGUMENTS
    further: dict[str, str] = json.loads(arguments.read_text()) if arguments.is_file() else {}
    return {build_argument(engine): stand_in_base(engine, builder, on_line), **further}


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold a lock of this user's processes: the CDK builds several images at once, and so do the tests."""
    path = Path(tempfile.gettempdir()) / f"lora-serving-stand-in-{os.getuid()}.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _debian(builder: Builder, on_line: OnLine | None) -> str:
    image = _reference("debian")
    if not builder.has(image):
        with tempfile.TemporaryDirectory(prefix="lora-serving-") as folder:
            debian.write_root(Path(folder) / "rootfs.tar", on_line)
            builder.build(dockerfile=_DEBIAN, context=Path(folder), tag=image, on_line=on_line)
    return image


def _reference(name: str, *dockerfiles: Path) -> str:
    definition = [repr(debian.DEFINITION), *(file.read_text() for file in (_DEBIAN, *dockerfiles))]
    digest = hashlib.sha256("\0".join(definition).encode()).hexdigest()
    return f"localhost/lora-serving/stand-in-{name}:{digest[:12]}"
