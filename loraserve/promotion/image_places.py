"""The repositories of a release's image in two stages."""

from __future__ import annotations

from typing import NamedTuple

from loraserve.aws import Client
from loraserve.images.ecr_copy import ImageRepository
from loraserve.images.promoted_image import asset_image, giving_repository, taking_repository
from loraserve.release.opened import OpenedRelease
from loraserve.release.release import ReleaseError, StageRelease
from stacks.config.stage_target import StageTarget


class ImagePlaces(NamedTuple):
    """Source and destination of the image's copy."""

    giving: ImageRepository
    taking: ImageRepository
    tag: str


def image_places(
    opened: OpenedRelease, stage: StageRelease, giving: StageTarget, client: Client
) -> ImagePlaces:
    """Find the image asset in the stage before and in the stage; raises boto3's errors.

    Both have the asset of the same hash: the check of tested = promoted compares it.
    """
    before = opened.stage(giving.name)
    if stage.image.asset is None or before.image.asset is None:
        raise ReleaseError(
            f"release {opened.release.release} builds no image for {giving.name} and {stage.name}: give both "
            "stages the same `image`"
        )
    source = asset_image(opened.stage_assembly(giving.name), giving, before.account, before.image.asset)
    place = asset_image(opened.stage_assembly(stage.name), stage.target, stage.account, stage.image.asset)
    return ImagePlaces(
        giving_repository(client, giving, stage.target, before.account, source.repository),
        taking_repository(client, stage.target, stage.account, place.repository),
        place.tag,
    )
