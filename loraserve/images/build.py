"""Build of the engines' images: `make images`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from rich.table import Table

from loraserve.errors import UserError
from loraserve.images.builders import Builder
from loraserve.images.layer_sizes import Layer, measure
from loraserve.images.machine import build_secrets
from loraserve.images.processes import OnLine, ProgramFailed
from loraserve.images.stand_in.bases import stand_in_arguments, stand_in_reference
from stacks.config.base_images import build_argument, read_lock
from stacks.project import ROOT

_MIB = 1 << 20
#: Length of a shortened digest.
_SHOWN = len("sha256:") + 12


class Base(StrEnum):
    """The base image of a build."""

    LOCK = "lock"
    """The engine's published image, from container/images.lock."""
    STAND_IN = "stand-in"
    """A small Debian with the layout of the engine's image and without the engine."""


class BaseNotPulled(UserError):
    """A base image that cannot be pulled; the message has the reason and the remedy."""


class BaseChanged(UserError):
    """An image whose lower layers are not those of its base image."""


@dataclass(frozen=True)
class EngineImage:
    """An image in the builder's store."""

    engine: str
    image: str
    """Reference in the builder's store."""
    digest: str
    """The image's id: the digest of its configuration, which has the digests of all layers. buildah writes
    the build's container into it, so that it differs between two builds with the same layers."""
    base: str
    """Reference of the base image."""
    base_bytes: int
    """Size of the base image, as the builder counts it."""
    layers: tuple[Layer, ...]
    """The layers on top of the base's."""


def image_name(engine: str, base: Base) -> str:
    """Return the reference under which `build_image` stores an engine's image."""
    return f"localhost/lora-serving/{engine}:{base}"


def build_image(
    engine: str,
    *,
    base: Base,
    builder: Builder,
    root: Path = ROOT,
    image: str | None = None,
    on_line: OnLine | None = None,
) -> str:
    """Build `container/<engine>/Dockerfile` below `root` and return the image's reference.

    The reference is `image`, or that of `image_name`. The image that had it before is removed if it has no
    other name and no container.

    Raises `BaseNotPulled`, `NoDebian`, or `ProgramFailed` with the end of the builder's output.
    """
    image = image or image_name(engine, base)
    replaced = builder.image_id(image) if builder.has(image) else None
    with build_secrets() as secrets:
        builder.build(
            dockerfile=root / "container" / engine / "Dockerfile",
            context=root,
            tag=image,
            build_args=base_arguments(engine, base=base, builder=builder, on_line=on_line),
            secrets=secrets,
            on_line=on_line,
        )
    if replaced not in {None, builder.image_id(image)}:
        # Without this, each build would leave an image without a name. One in use is not removed.
        with suppress(ProgramFailed):
            builder.remove(str(replaced).removeprefix("sha256:"))
    return image


def reference(engine: str, base: Base) -> str:
    """Return the reference that an engine's base image has in the builder's store, if it is there."""
    return stand_in_reference(engine) if base is Base.STAND_IN else read_lock()[engine].reference


def unpinned(engines: Iterable[str], *, base: Base) -> list[str]:
    """Return the base images that a build from `base` takes by their tag, because the lock has no digest."""
    lock = read_lock()
    return [lock[name].tagged for name in engines if base is Base.LOCK and lock[name].digest is None]


def base_arguments(
    engine: str, *, base: Base, builder: Builder, on_line: OnLine | None = None
) -> dict[str, str]:
    """Return the build arguments for a build from `base`, which is then in the builder's store."""
    if base is Base.STAND_IN:
        return stand_in_arguments(engine, builder, on_line)
    base_image = read_lock()[engine]
    locked = base_image.reference
    # A tag may have moved since it was pulled. Without the registry, the image that is here is used.
    if base_image.digest is None or not builder.has(locked):
        try:
            builder.pull(locked, on_line=on_line)
        except ProgramFailed as error:
            if builder.has(locked):
                return {build_argument(engine): locked}
            reason = (error.output.strip().splitlines() or ["no output"])[-1]
            raise BaseNotPulled(
                f"{locked} cannot be pulled: {reason}. Check the network and its proxy and run the command "
                "again, or build from a small stand-in without the engine: "
                f"make images ENGINE={engine} BASE=stand-in"
            ) from error
    return {build_argument(engine): locked}


def describe(engine: str, *, base: Base, builder: Builder, image: str | None = None) -> EngineImage:
    """Return the facts of the image that `build_image` stored; reads all of it.

    Raises `BaseChanged`, `UnreadableLayer` or `ProgramFailed`.
    """
    image = image or image_name(engine, base)
    of_base = reference(engine, base)
    added = builder.layers_above(image, of_base)
    if added is None:
        raise BaseChanged(f"{image} was not built from {of_base}, as that is now: run make images again")
    with builder.save(image) as archive:
        layers = measure(archive, added, skipped=builder.diff_ids(of_base))
    return EngineImage(
        engine=engine,
        image=image,
        digest=builder.image_id(image),
        base=of_base,
        base_bytes=builder.size(of_base),
        layers=tuple(layers[diff_id] for diff_id in added),
    )


def table(images: Sequence[EngineImage]) -> Table:
    """Return a table for the terminal; digests are shortened."""
    result = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("image", "base", "base (as stored)", "added", "compressed", "layers added", "digest"):
        result.add_column(column, no_wrap=column not in {"image", "base"}, overflow="fold")
    for image in images:
        result.add_row(
            image.image,
            image.base,
            _size(image.base_bytes),
            _size(sum(layer.unpacked for layer in image.layers)),
            _size(sum(layer.compressed for layer in image.layers)),
            str(len(image.layers)),
            f"{image.digest[:_SHOWN]}…",
        )
    return result


def document(images: Sequence[EngineImage], builder: Builder) -> str:
    """Return one JSON document, for programs; sizes are in bytes."""
    return json.dumps({"builder": builder.name, "images": [asdict(image) for image in images]}, indent=1)


def _size(number: int) -> str:
    return f"{number / _MIB:.1f} MiB"
