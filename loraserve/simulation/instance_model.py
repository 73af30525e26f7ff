"""Latency of an instance by its requests in flight: given, computed by the planner, or measured."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, mean
from typing import Final, Literal

from loraserve.plan.calibration import read_service
from loraserve.simulation.errors import SimulationError
from stacks.config.memory_check import demand_of
from stacks.config.sections.engine import Engine
from stacks.config.stage_config import LoadedStage
from stacks.sizing.gpu_memory import plan_of
from stacks.sizing.popularity import uniform
from stacks.sizing.throughput import LatencyModel, Traffic, batch_limits, binding, latency_model, step_work

#: Requests that an engine runs at once unless a stage says otherwise.
DEFAULT_MAX_IN_FLIGHT: Final = Engine().max_concurrent_requests
#: The AWS blog post's endpoint (README.md): 2.8 s with 20 in flight, measured; the slope is assumed.
ARTICLE: Final = "2.06,0.037"
ARTICLE_SOURCE: Final = "2.8 s with 20 in flight as in AWS's blog post, and a slope"
MODELS: Final = "plan, the JSON file of a load test, or SECONDS,SECONDS_PER_REQUEST[,MOST_AT_ONCE]"
#: Length of prompts and answers in tokens where neither trace nor load test has them: those of `ARTICLE`.
_LENGTHS: Final = (60.0, 64.0)
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"


@dataclass(frozen=True, kw_only=True)
class InstanceModel:
    """The latency of an instance, and its origin."""

    latency: LatencyModel
    label: Literal["computed", "measured", "assumed"]
    source: str
    """Origin, in a few words."""


def parse_instance_model(
    text: str, stage: LoadedStage | None, tokens: tuple[float, float] | None
) -> InstanceModel:
    """Return the model of `plan`, of a load test's document, or of `a,b` and `a,b,most`.

    Args:
        text: the description.
        stage: the stage to plan for.
        tokens: mean length of the prompts and answers of the trace; None if it has none.

    Raises:
        SimulationError: the description cannot be used.
        LoadDocumentError, CalibrationError: the file is no load test that latencies can be taken from.
    """
    if match := re.fullmatch(rf"{_NUMBER},{_NUMBER}(?:,(\d+))?", text):
        base_s, each_s, most = float(match[1]), float(match[2]), int(match[3] or DEFAULT_MAX_IN_FLIGHT)
        if base_s + each_s == 0 or most < 1:
            raise SimulationError(f"instance model {text!r}: give a latency above 0, e.g. {ARTICLE}")
        source = ARTICLE_SOURCE if text == ARTICLE else f"the option, {text}"
        return InstanceModel(latency=LatencyModel(base_s, each_s, most), label="assumed", source=source)
    if text == "plan":
        if stage is None:
            raise SimulationError("instance model plan: give the stage to plan for, e.g. --stage dev")
        return _planned(stage, *(tokens or _LENGTHS))
    if Path(text).is_file():
        return _measured(Path(text), DEFAULT_MAX_IN_FLIGHT if stage is None else _most(stage))
    raise SimulationError(f"instance model {text!r}: give {MODELS}, e.g. {ARTICLE}")


def _planned(stage: LoadedStage, input_tokens: float, output_tokens: float) -> InstanceModel:
    """Compute the latency of the stage's instance with the planner's formula."""
    demand = demand_of(stage.config, stage.local_model)
    memory = None if demand is None else plan_of(demand)
    if memory is None or memory.spare < 0:
        raise SimulationError(
            f"instance model plan: the memory of stage {stage.name} is not known or not enough; give "
            f"SECONDS,SECONDS_PER_REQUEST, e.g. {ARTICLE}"
        )
    traffic = Traffic(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        shares=uniform(len(stage.manifest.adapters)) if stage.manifest.adapters else (),
    )
    work = step_work(memory)
    limits = batch_limits(work, traffic, max_concurrent_requests=_most(stage), kv_tokens=memory.kv_tokens)
    most = int(binding(limits).batch)
    if most < 1:
        raise SimulationError(
            f"instance model plan: no request of {traffic.total_tokens:.0f} tokens fits into the KV cache of "
            f"stage {stage.name}; give a trace with shorter requests"
        )
    return InstanceModel(
        latency=latency_model(work, traffic, most),
        label="computed",
        source=f"plan of stage {stage.name}, {input_tokens:.0f}/{output_tokens:.0f} tokens",
    )


def _measured(path: Path, most: int) -> InstanceModel:
    """Fit a line to the times of a load test of one instance."""
    service = read_service(path, _LENGTHS[0])
    if len(set(service.in_flight)) < 2:
        base_s, each_s = mean(service.service_s), 0.0
    else:
        fit = linear_regression(service.in_flight, service.service_s)
        base_s, each_s = fit.intercept, fit.slope
    # Noise can fit a line that falls, or one that is below 0 without load.
    if each_s < 0 or base_s <= 0:
        raise SimulationError(
            f"{path}: the times do not grow with the requests in flight; run a load test with several "
            "rates below and above the capacity, e.g. --clients 40"
        )
    return InstanceModel(
        latency=LatencyModel(base_s, each_s, most), label="measured", source=f"load test {path.name}"
    )


def _most(stage: LoadedStage) -> int:
    return stage.config.engine.max_concurrent_requests
