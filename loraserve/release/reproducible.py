"""The reasons why a release would not be the same when it is built again, or could not be promoted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stacks.config.base_images import LOCK, BaseImage
from stacks.config.stage_config import LoadedStage
from stacks.project import ROOT

#: The end of a reference by content, as in the OCI distribution specification.
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def problems(stages: Sequence[LoadedStage], images: Mapping[str, BaseImage]) -> Iterator[str]:
    """Yield what is wrong with the stages of a release, a sentence each with file, key and remedy.

    `images` are the base images of the engines. What is not pinned is refused for a stage with
    `termination_protection`, and for the stages in which its releases are tested.
    """
    for stage in stages:
        file, config = _file(stage), stage.config
        if config.account is None:
            yield f"{file}: account is missing, which a release is deployed to: write its 12 digits in quotes"
        if config.image != "asset" and _DIGEST.search(config.image) is None:
            yield (
                f"{file}: image: {config.image} may be another image in the next stage: write it with its "
                "digest, …@sha256:…, in place of the tag"
            )
    pinned = _pinned(stages)
    engines: dict[str, list[str]] = {}
    for stage in pinned:
        if stage.config.image == "asset":
            engines.setdefault(stage.config.engine.name, []).append(stage.name)
    for engine, names in engines.items():
        if images[engine].digest is None:
            yield (
                f"{_shown(LOCK)}: {engine}: digest is null: the image of {', '.join(names)} would be built "
                f"from {images[engine].tagged}, a tag that can be moved; run `make pin-images` and commit it"
            )
    # Stages may share a manifest.
    yield from dict.fromkeys(each for stage in pinned for each in _unpinned_adapters(stage))


def _pinned(stages: Sequence[LoadedStage]) -> list[LoadedStage]:
    """Return the stages of which all must be pinned."""
    by_name = {stage.name: stage for stage in stages}
    found: set[str] = set()
    for stage in stages:
        each: LoadedStage | None = stage if stage.config.termination_protection else None
        while each is not None and each.name not in found:
            found.add(each.name)
            each = by_name.get(each.config.promote_from or "")
    return [stage for stage in stages if stage.name in found]


def _unpinned_adapters(stage: LoadedStage) -> Iterator[str]:
    path = stage.directory / stage.config.adapters
    for adapter in stage.manifest.adapters:
        problem = adapter.source_problem(path.parent, unpinned=False)
        if problem is not None:
            yield f"{_shown(path)}: adapter {adapter.name!r}: source: {problem}"


def _file(stage: LoadedStage) -> str:
    return _shown(stage.directory / f"{stage.name}.yaml")


def _shown(path: Path) -> str:
    """Return a path as a reader of the repository names it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
