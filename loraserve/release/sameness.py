"""Tested and promoted are the same: the differences of two stages of a release in what was tested.

What runs in the container is compared: image, engine, base model, all settings of the container, adapters.
Numbers of instances, scaling, network, names, alarms and retention periods may differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loraserve.release.opened import OpenedRelease
from loraserve.review.assembly import Stage, read_assembly
from loraserve.review.endpoint_update import model_environment
from loraserve.review.values import written
from stacks.config.container_environment import KEYS
from stacks.facts import ImageFacts, PackedAdapterFacts, StageFacts


@dataclass(frozen=True, kw_only=True)
class SettingDifference:
    """A difference between two stages in what was tested."""

    name: str
    """Key of the stage file, or a noun: `engine.max_input_tokens`, `base_model.revision`, `adapter otter`."""
    before: str
    """In the stage before; `none` where it is absent."""
    after: str
    blocks: bool
    """False for a difference that makes the test less conclusive, and is no other content."""


def stage_differences(opened: OpenedRelease, before: str, after: str) -> Iterator[SettingDifference]:
    """Yield the differences of two stages of a release, `before` being the one that was tested."""
    stages = read_assembly(opened.assembly).stages
    old, new = (stages[opened.stage(name).target.id] for name in (before, after))
    yield from differences_between(opened.facts(before), opened.facts(after))
    yield from _settings(old, new)


def differences_between(before: StageFacts, after: StageFacts) -> Iterator[SettingDifference]:
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
    name: str, before: str | None, after: str | None, *, blocks: bool = True
) -> Iterator[SettingDifference]:
    if before != after:
        yield SettingDifference(name=name, before=before or "none", after=after or "none", blocks=blocks)


def _image(image: ImageFacts) -> str:
    """Return what identifies the image: its digest, or the hash of its sources and its base.

    Accounts have separate repositories, into which an image is copied.
    """
    if image.uri is not None:
        return image.uri.partition("@")[2] or image.uri
    return f"built from {image.asset} and {image.base_digest or image.base}"


def _settings(before: Stage, after: Stage) -> Iterator[SettingDifference]:
    """Yield the differing settings of the container; the base model's are among the facts.

    Of the variables those of the stage file are compared: the others name the stage's own resources.
    """
    old, new = (model_environment(stage) for stage in (before, after))
    for variable, key in KEYS.items():
        if not key.startswith("base_model."):
            one, other = old.get(variable), new.get(variable)
            yield from _one(key, one and written(one), other and written(other))


def _adapters(before: StageFacts, after: StageFacts) -> Iterator[SettingDifference]:
    """Yield adapters that were not tested, and those that have another content; fewer adapters are no matter.

    If the adapter is locked, and the tested one is not, whether that stage serves the locked revision is
    asked in its registry, see `loraserve.adapters.locked_revisions`. One that is not locked any more is not
    asked there: it must have the same weights.
    """
    tested, promoted = (_by_name(facts) for facts in (before, after))
    for name, adapter in promoted.items():
        other = tested.get(name)
        is_new_lock = other is not None and other.digest is None and adapter.digest is not None
        has_same_weights = (
            other is not None
            and other.digest is not None
            and adapter.digest is None
            and adapter.sha256 is not None
            and adapter.sha256 == other.sha256
        )
        if not is_new_lock and not has_same_weights:
            yield from _one(f"adapter {name}", None if other is None else _content(other), _content(adapter))


def _by_name(facts: StageFacts) -> dict[str, PackedAdapterFacts]:
    return {name: adapter for adapter in facts.adapters for name in adapter.names}


def _content(adapter: PackedAdapterFacts) -> str:
    """Return what identifies the files: their digest, otherwise their source, which is pinned."""
    return adapter.digest or adapter.sha256 or adapter.source
