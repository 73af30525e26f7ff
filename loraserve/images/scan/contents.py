"""What an image contains, and which part of it this project adds to the base image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loraserve.errors import UserError
from loraserve.images.builders import Builder
from loraserve.images.scan.archive import ArchiveError, SavedImage, merged, read_image
from loraserve.images.scan.packages import Distribution, ImagePackage, find_distribution, introduced


class NotScanned(UserError):
    """An image that was not scanned; the message says why and what to do."""

    exit_code = 3


@dataclass(frozen=True)
class ImageContents:
    """An image's packages, and the layers that the base image has of them."""

    name: str
    """The image in the builder's store."""
    base: str
    """The base image that it was built from."""
    image: SavedImage
    base_layers: int
    """Number of layers that are the base's; the layers above are this project's."""
    packages: Mapping[ImagePackage, int]
    """Each package with the index of the layer that brought it."""
    distribution: Distribution | None

    def is_added(self, layer: int) -> bool:
        """Return whether the layer with this index is one of this project's."""
        return layer >= self.base_layers

    def added(self) -> list[ImagePackage]:
        """Return the packages that this project adds, or replaces by another version."""
        return [package for package, layer in self.packages.items() if self.is_added(layer)]


def read_contents(builder: Builder, name: str, bases: Sequence[str]) -> ImageContents:
    """Read an image of the builder's store; raises `NotScanned` or `ProgramFailed`.

    `bases` are the images that it may have been built from. One of them must be in the same store, because
    the base's layers tell what this project adds.
    """
    if not builder.has(name):
        raise NotScanned(f"{name} is not in {builder.name}'s store: run make images")
    base, base_layers = _base(builder, name, bases)
    problem: ArchiveError | None = None
    with builder.save(name) as stream:
        try:
            image = read_image(stream)
        except ArchiveError as error:
            problem = error
    # The end of the block raises if the builder failed, which is then the reason.
    if problem is not None:
        raise NotScanned(f"{name} was not scanned: {problem}") from problem
    packages = introduced(image.layers)
    ordered = dict(sorted(packages.items(), key=lambda item: (item[0].purl, item[0].path)))
    return ImageContents(name, base, image, base_layers, ordered, find_distribution(merged(image.layers)))


def _base(builder: Builder, name: str, bases: Sequence[str]) -> tuple[str, int]:
    """Return the base that the image was built from, and the number of its layers."""
    layers = builder.diff_ids(name)
    there = [base for base in bases if builder.has(base)]
    for base in there:
        below = builder.diff_ids(base)
        if layers[: len(below)] == below:
            return base, len(below)
    if there:
        raise NotScanned(
            f"{name} was not built from {' or '.join(there)}, as it is now: run make images again"
        )
    # BuildKit keeps the layers that it pulls, but not the image.
    raise NotScanned(
        f"the base of {name} is not in {builder.name}'s store, so what the project adds cannot be told: run "
        f"{builder.name} pull {bases[0]}"
    )
