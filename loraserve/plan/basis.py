"""The configuration that a plan starts from: a stage's, or a model on an instance type with the defaults."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from adapters.closest import closest
from adapters.engines.registry import ENGINES
from loraserve.plan.errors import PlanError
from loraserve.plan.numbers import MOST_SLOTS, known_instance, module_names
from loraserve.plan.question import Sections
from loraserve.plan.stage_yaml import sections_of
from stacks.config.loading import load_stages
from stacks.config.memory_check import demand_of, demand_of_settings
from stacks.config.sections.autoscaling import Autoscaling
from stacks.config.sections.endpoint import Endpoint
from stacks.config.sections.engine import Engine, Gateway
from stacks.config.stage_config import LoadedStage, StageConfig
from stacks.project import ROOT
from stacks.sizing.demand import Demand
from stacks.sizing.instances import INSTANCE_TYPES
from stacks.sizing.known_models import KNOWN_MODELS, known_shape
from stacks.sizing.model_shape import ModelShape, shape_of_local_model
from stacks.sizing.throughput import Traffic

#: The defaults of a stage file.
DEFAULT_INSTANCE = str(Endpoint.model_fields["instance_type"].default)
DEFAULT_ENGINE = str(Engine.model_fields["name"].default)


@dataclass(frozen=True, kw_only=True)
class Basis:
    """A configuration, and what its stage says of adapters, requests and region."""

    model: str
    """Name of the base model."""
    demand: Demand
    other_seqs: int
    """Sequences of `demand.max_num_seqs` that the gateway keeps for its requests."""
    region: str
    adapters: int | None
    """Adapters of the stage's manifest; None without a stage, or with an empty one."""
    typical_tokens: tuple[int, int]
    """Input and output tokens of a typical request, from which the target of autoscaling is derived."""
    sections: Sections = field(default_factory=dict)
    """Sections of the stage's file that a plan changes."""


def start(stage: str | None, model: str | None, instance: str | None) -> Basis:
    """Take the configuration of a stage by its name, or of a model; `instance`: on another instance type.

    Raises `ConfigError` or `PlanError`, also if neither or both are given.
    """
    if (stage is None) is (model is None):
        raise PlanError("--stage, --model: give one of them")
    place = None if instance is None else known_instance(instance)
    if model is not None:
        return basis_of_model(model, place or DEFAULT_INSTANCE, DEFAULT_ENGINE)
    [loaded] = load_stages(ROOT / "stages", str(stage))
    basis = basis_of_stage(loaded)
    if place is None:
        return basis
    return replace(basis, demand=replace(basis.demand, instance=INSTANCE_TYPES[place]))


def basis_of_stage(stage: LoadedStage) -> Basis:
    """Take the configuration of a stage; raises `PlanError` for a base model whose shape is not known."""
    config = stage.config
    demand = demand_of(config, stage.local_model)
    if demand is None:
        raise PlanError(
            f"base_model.name: the shape of {config.base_model.name} is not known: add it to "
            "stacks/sizing/known_models.py"
        )
    return Basis(
        model=config.base_model.name,
        demand=demand,
        other_seqs=demand.max_num_seqs - config.engine.max_concurrent_requests,
        region=config.region,
        adapters=len(list(stage.manifest.published_names())) or None,
        typical_tokens=_typical_tokens(config.autoscaling),
        sections=sections_of(config),
    )


def basis_of_model(model: str, instance: str, engine: str) -> Basis:
    """Take a model, by its name on the Hub or its directory, with the defaults of a stage file.

    Raises `PlanError` for a model whose shape is not known.
    """
    settings = Engine(name=engine)
    demand = demand_of_settings(_shape(model), INSTANCE_TYPES[instance], settings, Gateway())
    region = str(StageConfig.model_fields["region"].default)
    return Basis(
        model=model,
        demand=demand,
        other_seqs=demand.max_num_seqs - settings.max_concurrent_requests,
        region=region,
        adapters=None,
        typical_tokens=_typical_tokens(Autoscaling()),
    )


def _typical_tokens(scaling: Autoscaling) -> tuple[int, int]:
    return scaling.typical_input_tokens, scaling.typical_output_tokens


def _shape(model: str) -> ModelShape:
    shape = known_shape(model) or shape_of_local_model(Path(model))
    if shape is None:
        raise PlanError(
            f"--model: the shape of {model} is not known{closest(model, KNOWN_MODELS)}: give the "
            "directory of its files, or add it to stacks/sizing/known_models.py"
        )
    return shape


def with_settings(demand: Demand, *, engine: str | None, quantize: str | None, modules: str | None) -> Demand:
    """Return the demand with other settings; None: its own. Raises `PlanError` for an unknown one."""
    if engine is not None:
        demand = _on_engine(demand, engine)
    if quantize is not None:
        known = demand.rules.quantizations
        if quantize not in known:
            raise PlanError(f"--quantize: {demand.rules.title} has no {quantize!r}: use {', '.join(known)}")
        demand = replace(demand, quantize=quantize, dtype=None)
    if modules is not None:
        demand = replace(demand, adapter_target_modules=module_names(modules, demand))
    return demand


def _on_engine(demand: Demand, engine: str) -> Demand:
    if engine not in ENGINES:
        raise PlanError(f"--engine: {engine!r} is no engine: use {' or '.join(ENGINES)}")
    if "adapter_target_modules" in ENGINES[engine].unused_settings:
        demand = replace(demand, adapter_target_modules=None)
    return replace(demand, engine=engine)


def with_traffic(
    demand: Demand, traffic: Traffic, *, rank: int, slots: Sequence[int], of_stage: bool
) -> Demand:
    """Return the demand with a rank, and with limits that the typical request is within.

    Slots are the most of `slots`; without any those of the stage, or, where there is none, one per adapter.
    """
    if not slots and not of_stage:
        slots = [max(1, min(MOST_SLOTS, len(traffic.shares)))]
    return replace(
        demand,
        max_adapter_rank=rank,
        max_active_adapters=max(slots, default=demand.max_active_adapters),
        max_input_tokens=max(demand.max_input_tokens, math.ceil(traffic.input_tokens)),
        max_total_tokens=max(demand.max_total_tokens, math.ceil(traffic.total_tokens)),
    )
