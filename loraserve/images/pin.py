"""`make pin-images`: resolves the base images' tags and writes their digests to `container/images.lock`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table

from loraserve.images.oci_registry import ImageRegistry, RegistryError
from stacks.config.base_images import BaseImage, lock_text

#: Length of a shortened digest.
_SHOWN = len("sha256:") + 12


@dataclass(frozen=True)
class Pin:
    """An engine's base image as locked, and its tag's digest in the registry."""

    engine: str
    locked: BaseImage
    digest: str

    @property
    def change(self) -> Literal["none", "new", "moved"]:
        """`new`: the lock has no digest yet; `moved`: it has another one than the registry."""
        if self.locked.digest is None:
            return "new"
        return "none" if self.locked.digest == self.digest else "moved"


def look_up(engine: str, image: BaseImage) -> Pin:
    """Ask the image's registry; raises `RegistryError`."""
    return Pin(engine, image, ImageRegistry(image).digest())


def write(pins: Sequence[Pin], path: Path) -> None:
    """Write the lock, whole or not at all; raises `RegistryError` if the file cannot be written."""
    images = {pin.engine: pin.locked.model_copy(update={"digest": pin.digest}) for pin in pins}
    written = path.with_name(f"{path.name}.new")
    try:
        written.write_text(lock_text(images))
        written.replace(path)
    except OSError as error:
        with suppress(OSError):
            written.unlink()
        raise RegistryError(
            f"{path} cannot be written ({error.strerror}): it is as it was; check its permissions"
        ) from error


def table(pins: Sequence[Pin]) -> Table:
    """Return a table for the terminal; digests are shortened."""
    result = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("engine", "image", "tag", "digest", "changed"):
        result.add_column(column, no_wrap=column != "image", overflow="fold")
    for pin in pins:
        was = pin.locked.digest
        changed = {"none": "no", "new": "yes, there was none", "moved": f"yes, was {_short(was or '')}"}
        result.add_row(
            pin.engine, pin.locked.repository, pin.locked.tag, _short(pin.digest), changed[pin.change]
        )
    return result


def document(pins: Sequence[Pin], path: Path) -> str:
    """Return one JSON document, for programs."""
    images = [
        {
            "engine": pin.engine,
            "repository": pin.locked.repository,
            "tag": pin.locked.tag,
            "digest": pin.digest,
            "locked": pin.locked.digest,
            "change": pin.change,
        }
        for pin in pins
    ]
    return json.dumps({"lock": str(path), "images": images}, indent=1)


def _short(digest: str) -> str:
    return f"{digest[:_SHOWN]}…"
