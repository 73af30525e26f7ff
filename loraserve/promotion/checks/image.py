"""The image that a release builds: in the stage before as it was tested, and free to be copied."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.aws import Client
from loraserve.finding import Finding, ok
from loraserve.images import promoted_image
from loraserve.promotion.giving import GivingStage
from loraserve.promotion.image_places import image_places
from loraserve.release.opened import OpenedRelease
from loraserve.release.release import StageRelease


def check_image(
    opened: OpenedRelease, stage: StageRelease, giving: GivingStage, client: Client
) -> Iterator[Finding]:
    """Compare the image's digest in both repositories with the record of the stage before."""
    if stage.image.asset is None:
        yield ok("image", f"{stage.image.uri}, not copied")
        return
    source, target, tag = image_places(opened, stage, giving.target, client)
    recorded = None if giving.record is None else giving.record.image_digest
    yield from promoted_image.check_image(source, target, tag=tag, recorded=recorded)
