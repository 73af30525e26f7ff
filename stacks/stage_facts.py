"""The facts of a stage, and the file with those of all stages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from stacks.config.base_images import read_lock
from stacks.config.derived import billed_usage, fewest_instances, most_instances, rollout_plan
from stacks.config.stage_config import LoadedStage, StageConfig
from stacks.facts import (
    FACTS_FILE,
    SCHEMA,
    AppFacts,
    BilledFacts,
    FleetFacts,
    ImageFacts,
    LimitFacts,
    ModelFacts,
    PackedAdapterFacts,
    RetentionFacts,
    RolloutFacts,
    StageFacts,
)
from stacks.sizing.cost_estimate import load_prices


@dataclass(frozen=True, kw_only=True)
class SynthesizedValues:
    """Values of a stage that only its stacks have."""

    image_asset: str | None
    """Hash of the image asset; None for a given image."""
    model_revision: str | None
    """Commit of a model on the Hub; of a local one, the revision of its content."""
    adapters: Sequence[Mapping[str, Any]]
    """The packed manifest's entries, see `stacks.config.manifest.Manifest.pack`."""
    alarms: int
    """Number of alarms."""
    rollback_alarms: Sequence[str]
    """Names of the alarms that roll an update back."""


def stage_facts(stage: LoadedStage, values: SynthesizedValues, *, warnings: Sequence[str]) -> StageFacts:
    """Collect the facts of a stage; `warnings` are those of its synth."""
    config = stage.config
    return StageFacts(
        name=stage.name,
        promote_from=config.promote_from,
        endpoint_name=stage.endpoint_name,
        engine=config.engine.name,
        image=_image(config, values.image_asset),
        model=ModelFacts(
            name=config.base_model.name, revision=values.model_revision, source=_model_source(config)
        ),
        limits=LimitFacts(
            max_input_tokens=config.engine.max_input_tokens,
            max_total_tokens=config.engine.max_total_tokens,
            max_new_tokens=config.engine.max_new_tokens,
            max_adapter_rank=config.engine.max_adapter_rank,
        ),
        fleet=fleet_facts(config),
        rollout=rollout_facts(config, values.rollback_alarms),
        # The usage's numbers of instances are the fleet's.
        billed=BilledFacts.model_validate(asdict(billed_usage(stage, alarms=values.alarms))),
        network=config.network.mode,
        adapters=tuple(PackedAdapterFacts.model_validate(adapter) for adapter in values.adapters),
        adapters_locked=config.adapters_locked,
        store_readers=tuple(config.store_readers),
        removable_share=stage.manifest.removable_share,
        retention=RetentionFacts(
            retired_days=config.retention_days,
            captured_days=config.endpoint.data_capture.retention_days,
            log_days=config.observability.log_retention_days,
            retain_data=config.retain_data,
        ),
        allow_unpinned_sources=config.allow_unpinned_sources,
        warnings=tuple(warnings),
    )


def write_facts(stages: Mapping[str, StageFacts], folder: Path) -> None:
    """Write the facts of stages, by id, beside the assembly's manifest: no template or asset has them."""
    facts = AppFacts(schema=SCHEMA, prices_date=load_prices().date, stages=dict(stages))
    content = facts.model_dump(mode="json", by_alias=True)
    (folder / FACTS_FILE).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def _image(config: StageConfig, asset: str | None) -> ImageFacts:
    if asset is None:
        return ImageFacts(uri=config.image, asset=None, base=None, base_digest=None)
    base = read_lock()[config.engine.name]
    return ImageFacts(uri=None, asset=asset, base=base.tagged, base_digest=base.digest)


def _model_source(config: StageConfig) -> Literal["mirror", "hub", "directory"]:
    if config.base_model.path is not None:
        return "directory"
    return "mirror" if config.base_model.mirror else "hub"


def fleet_facts(config: StageConfig) -> FleetFacts:
    """Collect the facts of the fleet."""
    initial, expected = config.endpoint.instance_count, config.cost.expected_instances
    most = most_instances(config)
    return FleetFacts(
        instance_type=config.endpoint.instance_type,
        initial=initial,
        minimum=fewest_instances(config),
        expected=initial if expected is None else expected,
        maximum=most,
        autoscaled=config.autoscaling.enabled,
        quota=rollout_plan(config).quota(most),
    )


def rollout_facts(config: StageConfig, alarms: Sequence[str]) -> RolloutFacts:
    """Collect the facts of an update; `alarms` are the names of those that roll it back."""
    plan = rollout_plan(config)
    return RolloutFacts(
        strategy=plan.strategy,
        step_percent=plan.step_percent,
        step_seconds=plan.step_seconds,
        batch_percent=plan.batch_percent,
        bake_seconds=plan.bake_seconds,
        pauses_seconds=plan.pauses_seconds,
        rollback_alarms=tuple(alarms),
    )
