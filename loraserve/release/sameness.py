"""Tested and promoted are the same: the differences of two stages of a release in what was tested.

What runs in the container is compared: image, engine, base model, all settings of the container, adapters. The
numbers of instances, scaling, network, names, alarms and retention periods of the stages may differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loraserve.release.opened import OpenedRelease
from loraserve.review.assembly import Stage, read_assembly
from loraserve.review.endpoint_update import model_environment
from loraserve.review.values import written
from stacks.config.container_environment import KEYS
from stacks.facts import ImageFacts, StageFacts


@dataclass(frozen=True, kw_only=True)
class StageDifference:
    """A difference between two stages."""

    what: str
    """Key of the stage file, or a noun: `engine.max_input_tokens`, `base_model.revision`, `adapter otter`."""
    before: str
    """In the stage before; `none` where it is absent."""
    after: str
    blocks: bool
    """False for a difference that makes the test less conclusive, and is no other content."""


def stage_differences(opened: OpenedRelease, before: str, after: str) -> Iterator[StageDifference]:
    """Yield the differences of two stages of a release, `before` being the one that was tested."""
    stages = read_assembly(opened.assembly).stages
    old, new = (stages[opened.stage(name).target.id] for name in (before, after))
    yield from differences_between(opened.facts(before), opened.facts(after))
    yield from _settings(old, new)


def differences_between(before: StageFacts, after: StageFacts) -> Iterator[StageDifference]:
    """Yield the differences of two stages that their facts have."""
    yield from _one("engine.name", before.engine, after.engine)
    yield from _one("image", _image(before.image), _image(after.image))
    yield from _one("base_model.name", before.model.name, after.model.name)
    yield from _one("base_model.revision", before.model.revision, after.model.revision)
    yield from _one("base_model.mirror", before.model.source, after.model.source, blocks=False)
    one, other = before.fleet.instance_type, after.fleet.instance_type
    yield from _one("endpoint.instance_type", one, other, blocks=False)
    yield from _adapters(before, after)


def _one(
    what: str, before: str | None, after: str | None, *, blocks: bool = True
) -> Iterator[StageDifference]:
    if before != after:
        yield StageDifference(what=what, before=before or "none", after=after or "none", blocks=blocks)


def _image(image: ImageFacts) -> str:
    """Return what identifies the image: its digest, or the hash of its sources and its base.

    Accounts have separate repositories, into which an image is copied.
    """
    if image.uri is not None:
        return image.uri.partition("@")[2] or image.uri
    return f"built from {image.asset} and {image.base_digest or image.base}"


def _settings(before: Stage, after: Stage) -> Iterator[StageDifference]:
    """Yield the differing settings of the container; the base model's are among the facts.

    Of the variables those of the stage file are compared: the others name the stage's own resources.
    """
    old, new = (model_environment(stage) for stage in (before, after))
    for variable, key in KEYS.items():
        if not key.startswith("base_model."):
            values = (
                None if each is None else written(each) for each in (old.get(variable), new.get(variable))
            )
            yield from _one(key, *values)


def _adapters(before: StageFacts, after: StageFacts) -> Iterator[StageDifference]:
    """Yield adapters that were not tested, or with another content where both sides know it at synth.

    Whether the tested stage serves the locked revisions is asked there, see `loraserve.adapters`.
    """
    tested, promoted = before.adapter_digests, after.adapter_digests
    for name, digest in promoted.items():
        if name not in tested:
            yield from _one(f"adapter {name}", None, digest or "of the manifest")
        elif digest is not None and tested[name] is not None:
            yield from _one(f"adapter {name}", tested[name], digest)
    for name in tested.keys() - promoted.keys():
        yield from _one(f"adapter {name}", tested[name] or "of the manifest", None, blocks=False)
