"""A planned configuration as the sections of a stage file that it changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import yaml
from pydantic import BaseModel

from loraserve.plan.question import PlanQuestion, Sections
from stacks.config.sections.autoscaling import Autoscaling
from stacks.config.sections.endpoint import Endpoint
from stacks.config.sections.engine import Engine, Gateway
from stacks.config.stage_config import StageConfig
from stacks.sizing.demand import Demand
from stacks.sizing.engines.registry import MEMORY

_SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "engine": Engine,
    "endpoint": Endpoint,
    "autoscaling": Autoscaling,
}


def sections_of(config: StageConfig) -> Sections:
    """Return the sections of a stage's file that a plan changes; defaults are left out."""
    return {name: getattr(config, name).model_dump(mode="json", exclude_defaults=True) for name in _SECTIONS}


def stage_yaml(question: PlanQuestion, demand: Demand) -> str:
    """Return the sections `engine`, `endpoint` and `autoscaling` of a stage file, to replace the stage's.

    Keys that the plan does not change have the stage's values; defaults are left out.
    """
    planned = {
        "engine": _engine(question, demand),
        "endpoint": {"instance_type": demand.instance.name},
        "autoscaling": _autoscaling(question),
    }
    document = {
        name: _without_defaults(name, {**question.sections.get(name, {}), **keys})
        for name, keys in planned.items()
    }
    unused = demand.rules.unused_settings
    # Named, though it may be the default: it says what the other keys are for.
    document["engine"] = {"name": demand.engine} | {
        key: value for key, value in document["engine"].items() if key not in unused
    }
    return str(yaml.safe_dump({name: keys for name, keys in document.items() if keys}, sort_keys=False))


def _engine(question: PlanQuestion, demand: Demand) -> dict[str, Any]:
    modules = demand.adapter_target_modules
    own = question.sections.get("engine", {})
    in_host = MEMORY[demand.engine].host_slots(demand)
    most_new = own.get("max_new_tokens", _default("engine", "max_new_tokens"))
    most_new = max(most_new, math.ceil(question.traffic.output_tokens))
    return {
        "name": demand.engine,
        "max_input_tokens": demand.max_input_tokens,
        "max_total_tokens": demand.max_total_tokens,
        "max_concurrent_requests": demand.max_num_seqs - question.other_seqs,
        "max_adapter_rank": demand.max_adapter_rank,
        "max_active_adapters": demand.max_active_adapters,
        # Its default is the planned number, at synth as here.
        "max_cpu_adapters": None if demand.max_cpu_adapters is None else in_host,
        "adapter_target_modules": None if modules is None else list(modules),
        "adapter_memory_fraction": demand.adapter_memory_fraction,
        "tensor_parallel": demand.tensor_parallel,
        "quantize": demand.quantize,
        "dtype": demand.dtype,
        # Its default need not be below a shorter limit of both together.
        "max_new_tokens": min(most_new, demand.max_total_tokens - 1),
    }


def _autoscaling(question: PlanQuestion) -> dict[str, Any]:
    """Return the keys that the target of autoscaling is derived from at synth."""
    keys: dict[str, Any] = {
        "typical_input_tokens": math.ceil(question.traffic.input_tokens),
        "typical_output_tokens": math.ceil(question.traffic.output_tokens),
    }
    limit = Gateway.model_fields["answer_seconds"].default
    # The gateway's own limit is no aim.
    if question.slo.e2e_s is not None and question.slo.e2e_s < limit:
        keys["slo_seconds"] = question.slo.e2e_s
    return keys


def _without_defaults(section: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in keys.items() if value != _default(section, key)}


def _default(section: str, key: str) -> Any:
    return _SECTIONS[section].model_fields[key].get_default(call_default_factory=True)
