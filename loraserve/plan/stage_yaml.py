"""A planned configuration as the part of a stage file that it sets."""

from __future__ import annotations

import math
from typing import Any

import yaml

from loraserve.plan.question import PlanQuestion
from stacks.config.sections.endpoint import Endpoint
from stacks.config.sections.engine import Engine, Gateway
from stacks.sizing.demand import Demand


def stage_yaml(question: PlanQuestion, demand: Demand) -> str:
    """Return the keys `engine`, `endpoint` and `autoscaling` of a stage file; defaults are left out."""
    longest = math.ceil(question.traffic.output_tokens)
    settings: dict[str, Any] = {
        "max_input_tokens": demand.max_input_tokens,
        "max_total_tokens": demand.max_total_tokens,
        "max_concurrent_requests": demand.max_num_seqs - question.other_seqs,
        "max_adapter_rank": demand.max_adapter_rank,
        "max_active_adapters": demand.max_active_adapters,
        "adapter_target_modules": demand.adapter_target_modules and list(demand.adapter_target_modules),
        "adapter_memory_fraction": demand.adapter_memory_fraction,
        "tensor_parallel": demand.tensor_parallel,
        "quantize": demand.quantize,
        "dtype": demand.dtype,
        "max_new_tokens": max(longest, _default("max_new_tokens")),
    }
    unused = demand.rules.unused_settings
    engine = {"name": demand.engine} | {
        key: value for key, value in settings.items() if key not in unused and value != _default(key)
    }
    # Its default need not be below a shorter limit of both together.
    if demand.max_total_tokens <= settings["max_new_tokens"]:
        engine["max_new_tokens"] = demand.max_total_tokens - 1
    document: dict[str, Any] = {"engine": engine}
    if demand.instance.name != Endpoint.model_fields["instance_type"].default:
        document["endpoint"] = {"instance_type": demand.instance.name}
    # The target of autoscaling is derived from them at synth.
    document["autoscaling"] = {
        "typical_input_tokens": math.ceil(question.traffic.input_tokens),
        "typical_output_tokens": longest,
    }
    limit = Gateway.model_fields["answer_seconds"].default
    # The gateway's own limit is no aim.
    if question.slo.e2e_s is not None and question.slo.e2e_s < limit:
        document["autoscaling"]["slo_seconds"] = question.slo.e2e_s
    return str(yaml.safe_dump(document, sort_keys=False))


def _default(key: str) -> Any:
    return Engine.model_fields[key].default
