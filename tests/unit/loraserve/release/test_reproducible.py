"""Reasons against a release: all of them at once, each with file, key and remedy."""

from collections.abc import Callable
from typing import Any

import pytest

from loraserve.release.reproducible import problems
from stacks.config.base_images import BaseImage, read_lock
from stacks.config.loading import load_stages
from stacks.config.manifest import Manifest
from stacks.config.stage_config import LoadedStage
from stacks.project import ROOT

UNPINNED, PINNED = "hf://acme/otter@main", f"hf://acme/otter@{'0' * 40}"
DIGEST = "sha256:" + "0" * 64
IMAGES = {name: image.model_copy(update={"digest": DIGEST}) for name, image in read_lock().items()}
BY_TAG = {name: image.model_copy(update={"digest": None}) for name, image in IMAGES.items()}
URI = "111111111111.dkr.ecr.us-east-1.amazonaws.com/lora"


def stage(name: str, *, source: str = PINNED, **keys: Any) -> LoadedStage:
    """A stage that may be released, with other keys."""
    [loaded] = load_stages(ROOT / "stages", "dev")
    config = loaded.config.model_copy(update={"account": "111111111111", "promote_from": None, **keys})
    manifest = Manifest.model_validate({"adapters": [{"name": "otter", "source": source}]})
    return loaded.model_copy(update={"name": name, "config": config, "manifest": manifest})


def chain(*, protected: bool, **first: Any) -> list[LoadedStage]:
    return [
        stage("dev", **first),
        stage("staging", promote_from="dev"),
        stage("prod", promote_from="staging", termination_protection=protected),
    ]


def found(stages: list[LoadedStage], images: dict[str, BaseImage] = IMAGES) -> list[str]:
    return list(problems(stages, images))


def test_a_release_that_nothing_stands_against() -> None:
    assert found(chain(protected=True)) == []


@pytest.mark.parametrize(
    ("stages", "images", "said"),
    [
        (lambda: chain(protected=False, account=None), IMAGES, "stages/dev.yaml: account is missing"),
        (lambda: chain(protected=False, image=f"{URI}:1.2"), IMAGES, "stages/dev.yaml: image: .*lora:1.2 .*digest"),
        (lambda: chain(protected=True), BY_TAG, r"container/images.lock: lorax: digest is null: the image of dev, staging, prod .*`make pin-images`"),
        (lambda: chain(protected=True, source=UNPINNED), IMAGES, r"stages/adapters/gsm8k.yaml: adapter 'otter': source: 'main' is not a commit"),
    ],
)  # fmt: skip
def test_what_is_refused(
    stages: Callable[[], list[LoadedStage]], images: dict[str, BaseImage], said: str
) -> None:
    assert [*map(bool, found(stages(), images))] == [True]
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(found(stages(), images))


def test_without_a_protected_stage_nothing_has_to_be_pinned() -> None:
    assert found(chain(protected=False, source=UNPINNED), BY_TAG) == []


def test_a_chain_beside_the_protected_one_is_not_pinned() -> None:
    other = [stage("try", source=UNPINNED), stage("trial", promote_from="try", source=UNPINNED)]
    assert found([*chain(protected=True), *other]) == []


def test_an_image_by_digest_needs_no_base() -> None:
    uri = f"{URI}@{DIGEST}"
    images = [
        each.model_copy(update={"config": each.config.model_copy(update={"image": uri})})
        for each in chain(protected=True)
    ]
    assert found(images, BY_TAG) == []


def test_all_is_said_at_once() -> None:
    said = found(chain(protected=True, account=None, source=UNPINNED, image=f"{URI}:1"), BY_TAG)
    assert [line.partition(":")[0] for line in said] == [
        "stages/dev.yaml", "stages/dev.yaml", "container/images.lock", "stages/adapters/gsm8k.yaml",
    ]  # fmt: skip
