"""A plan as a JSON document; every figure has its unit and its origin: computed, measured or assumed."""

from __future__ import annotations

import math
from typing import Any, Final, Literal

from loraserve.plan.configuration import ByLoraCost, Configuration, Misfit
from loraserve.plan.planning import Plan
from loraserve.plan.question import PlanQuestion
from loraserve.plan.stage_yaml import stage_yaml
from stacks.sizing.demand import Demand
from stacks.sizing.gpu_memory import MemoryPlan
from stacks.sizing.memory_parts import GIB

FORMAT: Final = "loraserve-plan"
VERSION: Final = 1

Origin = Literal["computed", "measured", "assumed"]
Figure = dict[str, Any]


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return the document of a plan."""
    question, now = plan.question, plan.now
    scales = question.scales(question.demand)
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": question.model,
        "traffic": _traffic(question),
        "prices": {"date": question.prices.date, "region": question.region, "origin": "assumed"},
        "calibration": {
            "memory": "measured" if question.measurements.memory else "computed",
            "throughput": "measured" if scales.measured else "computed",
            "step": figure(scales.mid, "measured ÷ computed", "measured" if scales.measured else "assumed"),
        },
        "slot": {
            "memory": figure(plan.price.bytes, "bytes", "computed"),
            "kv_tokens": figure(plan.price.kv_tokens, "tokens", "computed"),
            "sequences": figure(plan.price.sequences, "sequences", "computed"),
        },
        "now": configuration_document(question, now),
        "slots": [configuration_document(question, row) for table in plan.tables for row in table.rows],
        "changes": [
            {
                "setting": change.setting,
                "needs": change.needs,
                "result": configuration_document(question, change.configuration),
            }
            for change in plan.changes
        ],
        "instances": [configuration_document(question, each) for each in plan.instances],
        "stage": None if plan.chosen is None else stage_yaml(question, plan.chosen.demand),
    }


def configuration_document(question: PlanQuestion, found: Configuration | Misfit) -> dict[str, Any]:
    """Return an evaluated configuration."""
    settings = _settings(question, found.demand)
    if isinstance(found, Misfit):
        return {"settings": settings, "fits": False, "reason": found.reason}
    speed: Origin = "measured" if question.scales(found.demand).measured else "computed"
    memory = found.memory
    fleet = found.fleet
    return {
        "settings": settings,
        "fits": True,
        "memory": memory_document(memory),
        "host_memory": {
            "kept": figure(memory.engine.host_slots(memory.demand), "adapters", "computed"),
            "adapters": figure(memory.host_adapters / GIB, "GiB", "computed"),
            "instance": figure(memory.demand.instance.memory_gib, "GiB", "assumed"),
        },
        "batch": figure(found.bound.batch, "sequences", "computed") | {"limit": found.bound.limit},
        "limits": {limit.limit: figure(limit.batch, "sequences", "computed") for limit in found.limits},
        "balanced_batch": figure(found.balanced, "sequences", "computed"),
        "different_adapters": figure(found.different, "adapters", "computed"),
        "miss_rate": figure(found.miss_rate, "of the requests", "computed"),
        "swaps": figure(found.swaps_per_s, "1/s", "computed"),
        "step": _three(found.step_s, "s", speed),
        "first_token": _three(found.first_token_s, "s", speed),
        "in_flight": figure(found.in_flight, "requests", "computed"),
        "latency": _three(found.latency_s, "s", speed),
        "requests": _three(found.requests_per_s, "1/s", speed),
        "output_tokens": _three(found.output_tokens_per_s, "1/s", speed),
        "usd_per_million_output_tokens": _three(found.usd_per_million, "USD", "computed"),
        "usd_per_thousand_requests": _three(found.usd_per_thousand, "USD", "computed"),
        "fleet": None
        if fleet is None
        else {
            "instances": figure(fleet.instances, "instances", "computed"),
            "in_flight": figure(fleet.in_flight, "requests", "computed"),
            "latency": figure(fleet.latency_s, "s", speed),
            "usd_per_month": figure(fleet.usd_per_month, "USD", "computed"),
        },
    }


def memory_document(memory: MemoryPlan) -> dict[str, Any]:
    """Return the parts of a GPU's memory."""
    beside: Origin = "measured" if memory.measured else "assumed"
    parts: list[tuple[str, int, Origin]] = [
        ("available", memory.available, "computed"),
        ("weights", memory.weights, "measured" if memory.measured else "computed"),
        ("engine", memory.overhead, beside),
        ("graphs", memory.graphs, beside),
        ("graphs_most", memory.graphs_most, beside),
        ("largest_step", memory.activations, "assumed"),
        ("adapters", memory.adapters.reserved, "computed"),
        ("kv_cache", memory.kv_tokens * memory.kv_per_token, "computed"),
    ]
    return {
        **{name: figure(size / GIB, "GiB", origin) for name, size, origin in parts},
        "kv_tokens": figure(memory.kv_tokens, "tokens", "computed"),
        "kv_tokens_least": figure(memory.kv_tokens_least, "tokens", "computed"),
        "kv_blocks": figure(memory.kv_blocks, "blocks", "computed"),
        "verdict": memory.verdict,
    }


def figure(value: float | None, unit: str, origin: Origin) -> Figure:
    """Return a figure with its unit and origin; no number for infinity, which JSON does not have."""
    known = value is not None and math.isfinite(value)
    return {"value": value if known else None, "unit": unit, "origin": origin}


def _three(found: ByLoraCost | None, unit: str, origin: Origin) -> Figure | None:
    """Return a figure with the middle cost of LoRA, and its bounds by the other two."""
    if found is None:
        return None
    values = {"slowest": found.slowest, "mid": found.mid, "fastest": found.fastest}
    return values | {"unit": unit, "origin": origin}


def _traffic(question: PlanQuestion) -> dict[str, Any]:
    traffic, load, slo = question.traffic, question.load, question.slo
    return {
        "input_tokens": figure(traffic.input_tokens, "tokens", "assumed"),
        "output_tokens": figure(traffic.output_tokens, "tokens", "assumed"),
        "adapters": figure(question.adapters, "adapters", "assumed"),
        "most_popular": figure(max(traffic.shares, default=0), "of the requests", "assumed"),
        "concurrency": figure(load.concurrency, "requests", "assumed"),
        "rate": figure(load.rate, "1/s", "assumed"),
        "utilization": figure(question.utilization, "of the throughput", "assumed"),
        "slo": str(slo),
    }


def _settings(question: PlanQuestion, demand: Demand) -> dict[str, Any]:
    return {
        "instance_type": demand.instance.name,
        "engine": demand.engine,
        "max_total_tokens": demand.max_total_tokens,
        "max_concurrent_requests": demand.max_num_seqs - question.other_seqs,
        "max_adapter_rank": demand.max_adapter_rank,
        "max_active_adapters": demand.max_active_adapters,
        "adapter_target_modules": demand.adapter_target_modules,
        "adapter_memory_fraction": demand.adapter_memory_fraction,
        "tensor_parallel": demand.tensor_parallel,
        "quantize": demand.quantize,
    }
