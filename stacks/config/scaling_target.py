"""The target of a stage's autoscaling: the one in its file, or one derived from GPU, model and SLO.

The largest number of requests in flight that one instance answers within the SLO is computed from the memory
plan and the time of a step. The target is a share of it: an alarm takes about a minute, and a new instance
minutes to start, while the others take the load. The share is from simulations of a week with bursts, with
instances that start in 330 s (docs/autoscaling.md): at 0.4, 0.01 % of the answers missed the SLO where two
instances always ran, for a third of the cost of a target of 5; at 0.6 it was 0.8 %, for a fifth less again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stacks.config.memory_check import demand_of
from stacks.config.stage_config import StageConfig
from stacks.sizing.gpu_memory import plan_of
from stacks.sizing.popularity import uniform
from stacks.sizing.throughput import (
    StepWork,
    Traffic,
    batch_limits,
    binding,
    latency_s,
    slo_concurrency,
    step_work,
)

#: The SLO of a stage that has none: this many times the seconds of a request that is alone on its instance.
SLO_FACTOR: Final = 2.0
#: Target as a share of the requests in flight that one instance answers within the SLO.
SHARE: Final = 0.4
_REMEDY = "write autoscaling.target, about 0.4 times the requests in flight that one instance answers in time"


@dataclass(frozen=True)
class ScalingTarget:
    """Value of the tracked metric per instance."""

    value: float
    basis: str
    """The words for a report: where the value is from."""


class TargetNotDerived(ValueError):
    """A stage without a target, for which none can be derived; the message says what to write."""


def target_refusal(config: StageConfig, model: Path | None) -> str | None:
    """Return why a stage that scales has no target, and what to write; None if it has one."""
    if not config.autoscaling.enabled:
        return None
    try:
        scaling_target(config, model)
    except TargetNotDerived as error:
        return str(error)
    return None


def scaling_target(config: StageConfig, model: Path | None) -> ScalingTarget:
    """Return the target of a stage; `model` is the base model's directory, where it is local.

    Raises:
        TargetNotDerived: the file has no target, and none can be derived.
    """
    scaling = config.autoscaling
    if scaling.target is not None:
        return ScalingTarget(scaling.target, f"scales at {scaling.target:g} {_UNITS[scaling.metric]} (given)")
    service = typical_service(config, model)
    request = f"{scaling.typical_input_tokens} + {scaling.typical_output_tokens} tokens"
    in_time = slo_concurrency(service.seconds, service.slo_s, service.most)
    if in_time < 1:
        raise TargetNotDerived(
            f"autoscaling.slo_seconds: {service.slo_s:g}: a single request of {request} takes about "
            f"{service.seconds(1):.2g} s on {config.endpoint.instance_type} (computed): write more "
            "seconds, shorter typical lengths, a faster endpoint.instance_type, or autoscaling.target"
        )
    value = SHARE * in_time
    if scaling.metric == "invocations_per_instance":
        value *= 60 / service.seconds(max(1, round(value)))
    value = _two_digits(value)
    return ScalingTarget(
        value,
        f"scales at {value:g} {_UNITS[scaling.metric]} (computed: {SHARE:g} of the {in_time} in flight that "
        f"one instance answers within {service.slo_s:.3g} s, at {request} each)",
    )


def _two_digits(value: float) -> float:
    """Round down to two significant digits: what is computed is no more exact."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.floor(value / unit + 1e-9) * unit, 9)


_UNITS: Final = {
    "concurrent_requests": "requests in flight per instance",
    "invocations_per_instance": "requests a minute per instance",
}


@dataclass(frozen=True, kw_only=True)
class TypicalService:
    """Typical requests of a stage on one of its instances, computed with the middle estimate."""

    traffic: Traffic
    work: StepWork
    most: int
    """Requests that run at once."""
    slo_s: float
    """Seconds within which a request is answered."""

    def seconds(self, in_flight: float) -> float:
        """Return the latency of a whole answer with so many requests in flight."""
        return latency_s(self.work, self.traffic, in_flight, self.most)


def typical_service(config: StageConfig, model: Path | None) -> TypicalService:
    """Return the typical requests of a stage and how an instance answers them.

    The adapters in memory are used equally, so that a batch has as many different ones as it can. The
    manifest is not read: adapters are published beside it at any time, without a new target.

    Raises:
        TargetNotDerived: the model's size is not known, or no typical request fits into the KV cache.
    """
    scaling = config.autoscaling
    demand = demand_of(config, model)
    plan = None if demand is None else plan_of(demand)
    if plan is None:
        raise TargetNotDerived(
            f"autoscaling.target: it cannot be derived for base_model.name {config.base_model.name}, because "
            f"its size, or that of its quantization, is not known: {_REMEDY}"
        )
    traffic = Traffic(
        input_tokens=scaling.typical_input_tokens,
        output_tokens=scaling.typical_output_tokens,
        shares=uniform(plan.adapters.resident),
    )
    work = step_work(plan)
    limits = batch_limits(
        work,
        traffic,
        max_concurrent_requests=config.engine.max_concurrent_requests,
        kv_tokens=plan.kv_tokens,
    )
    most = int(binding(limits).batch)
    if most < 1:
        raise TargetNotDerived(
            f"autoscaling.target: it cannot be derived, because the KV cache of "
            f"{config.endpoint.instance_type} holds no request of the typical lengths: {_REMEDY}"
        )
    slo_s = scaling.slo_seconds or SLO_FACTOR * latency_s(work, traffic, 1, most)
    return TypicalService(traffic=traffic, work=work, most=most, slo_s=slo_s)
