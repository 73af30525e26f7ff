"""Loading of a stage file with its manifest, local adapters and local base model.

Every rule that can be checked at synth is checked here: those of a section by its model, those between
sections by `stacks.config.checks`, the GPU memory by `stacks.config.memory_check`,
autoscaling's target by `stacks.config.scaling_target`. An error is one line with
file, key, value and remedy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from adapters.closest import closest
from adapters.errors import InvalidAdapter
from adapters.validation.base_model import InvalidBaseModel
from stacks.config.checks import problems
from stacks.config.local_adapters import check_local_adapters, stage_rules
from stacks.config.local_model import LocalModel
from stacks.config.manifest import Manifest
from stacks.config.memory_check import host_memory_refusal, memory_refusal
from stacks.config.promotion_order import chained
from stacks.config.scaling_target import target_refusal
from stacks.config.stage_config import LoadedStage, StageConfig
from stacks.config.stage_target import STAGE_NAME
from stacks.typed_yaml import ConfigError, read

#: The stage that the laptop cloud runs.
LOCAL_STAGE = "local"
#: Checks by computation: of a stage's config and the directory of its base model, if that is local.
_REFUSALS = (memory_refusal, host_memory_refusal, target_refusal)


def load_stage(path: Path, *, image: str | None = None) -> LoadedStage:
    """Read a stage file and its manifest; raise `ConfigError` on the first thing that is wrong.

    `image` replaces the file's own.
    """
    if re.fullmatch(STAGE_NAME, path.stem) is None:
        raise ConfigError(
            f"{path}: the name of a stage is part of its stacks' and endpoint's: lower-case letters and "
            "digits, 31 at most"
        )
    config = read(path, StageConfig)
    if image is not None:
        config = config.model_copy(update={"image": image})
    for problem in problems(config):
        raise ConfigError(f"{path}: {problem}")
    manifest_path = path.parent / config.adapters
    if not manifest_path.is_file():
        raise ConfigError(f"{path}: adapters: {config.adapters!r} is not a file; name a manifest")
    manifest = read(manifest_path, Manifest)
    for problem in _manifest_problems(manifest, config, manifest_path.parent):
        raise ConfigError(f"{manifest_path}: {problem}")
    model_path = config.base_model.path
    if model_path is not None and not (path.parent / model_path / "config.json").is_file():
        raise ConfigError(
            f"{path}: base_model.path: {model_path!r} has no config.json; name a model directory"
        )
    stage = LoadedStage(name=path.stem, config=config, manifest=manifest, directory=path.parent)
    rules = stage_rules(config.engine, config.base_model)
    try:
        if stage.local_model is not None:
            LocalModel(config.base_model.name, stage.local_model).check_files()
        check_local_adapters(manifest, manifest_path.parent, rules, stage.local_model)
    except InvalidAdapter as error:
        raise ConfigError(f"{manifest_path}: {error}") from error
    except InvalidBaseModel as error:
        raise ConfigError(f"{path}: base_model.path: {error}") from error
    computed = (refusal(config, stage.local_model) for refusal in _REFUSALS)
    for problem in filter(None, computed):
        raise ConfigError(f"{path}: {problem}")
    return stage


def _manifest_problems(manifest: Manifest, config: StageConfig, directory: Path) -> Iterator[str]:
    """Yield what a stage cannot have in its manifest, which is in `directory`."""
    for adapter in manifest.adapters:
        doubt = adapter.source_problem(directory, unpinned=config.allow_unpinned_sources)
        if doubt is not None:
            yield f"adapter {adapter.name!r}: source: {doubt}"
        if config.adapters_locked and adapter.locked_source is None:
            yield (
                f"adapter {adapter.name!r}: the stage has adapters_locked, so each adapter has a digest, and "
                "as its source that revision in the store of a stage: write the manifest with `python -m "
                f"loraserve adapters lock --from {config.promote_from}`"
            )
    pinned, slots = len(manifest.pinned_names()), config.engine.max_active_adapters
    if 2 * pinned > slots:
        yield (
            f"labels: {pinned} of the adapters {'is' if pinned == 1 else 'are'} pinned, more than half of "
            f"engine.max_active_adapters, {slots}: raise that to {2 * pinned} or more, or pin fewer"
        )


def load_stages(directory: Path, *only: str, local_image: str | None = None) -> list[LoadedStage]:
    """Load all stages of a directory in alphabetical order, or those named `only` in their order.

    `local_image` replaces the image of the stage that the laptop cloud runs, and of no other.
    """
    paths = sorted(directory.glob("*.yaml"))
    names = [path.stem for path in paths]
    for name in only:
        if name not in names:
            raise ConfigError(f"stage {name!r} is unknown{closest(name, names)}; stages: {', '.join(names)}")
    if only:
        paths = [directory / f"{name}.yaml" for name in only]
    stages = [load_stage(path, image=local_image if path.stem == LOCAL_STAGE else None) for path in paths]
    if not only and LOCAL_STAGE in chained({stage.name: stage.config.promote_from for stage in stages}):
        raise ConfigError(
            f"{directory}: promote_from: the stage {LOCAL_STAGE!r} is deployed by `make up`, and releases go "
            "neither to it nor from it: remove the key"
        )
    return stages
