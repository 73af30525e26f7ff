"""Policies and scenarios of the simulator's tests."""

from __future__ import annotations

from loraserve.simulation.scaling_candidate import ScalingCandidate, scaling_candidate
from loraserve.simulation.scenario import Scenario
from stacks.sizing.throughput import LatencyModel

ARTICLE = LatencyModel(2.06, 0.037, 128)


def policy(
    target: float, metric: str = "concurrent_requests", *, limits: tuple[int, int] = (1, 40)
) -> ScalingCandidate:
    return scaling_candidate(
        f"{metric} {target:g}", metric, target=target, limits=limits, cooldowns_s=(300, 600)
    )


def fixed(instances: int) -> ScalingCandidate:
    return policy(1e9, limits=(instances, instances))


def scenario(duration_s: float, latency: LatencyModel = ARTICLE, **changes: float) -> Scenario:
    return Scenario(**{"latency": latency, "slo_s": 4.0, "duration_s": duration_s} | changes)  # type: ignore[arg-type]
