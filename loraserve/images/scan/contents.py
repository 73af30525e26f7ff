"""Contents of an image, and the part of them that this project adds to the base image."""

from __future__ import annotations

from collections.abc import Mapping
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


def read_contents(builder: Builder, name: str, base: str) -> ImageContents:
    """Read an image of the builder's store; raises `NotScanned` or `ProgramFailed`.

    `base` is the image that it was built from. It must be in the same store, because its layers tell what
    this project adds.
    """
    if not builder.has(name):
        raise NotScanned(f"{name} is not in {builder.name}'s store: run make images, with the same BASE")
    if not builder.has(base):
        raise NotScanned(
            f"{base} is not in {builder.name}'s store, so it is not known what {name} adds to it: "
            "run make images, with the same BASE"
        )
    added = builder.layers_above(name, base)
    if added is None:
        raise NotScanned(
            f"{name} was not built from {base}, as that is now: run make images, with the same BASE"
        )
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
    base_layers = len(image.layers) - len(added)
    return ImageContents(name, base, image, base_layers, ordered, find_distribution(merged(image.layers)))
