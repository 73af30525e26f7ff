"""The result of `simulate-autoscaling`: what was compared, and its JSON document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from loraserve.simulation.comparison import Mode, Recommendation, by_name, front, month_usd
from loraserve.simulation.instance_model import InstanceModel
from loraserve.simulation.outcome import PolicyOutcome
from loraserve.simulation.policies import DEFAULT_NAME
from loraserve.simulation.scaling_candidate import ScalingCandidate
from loraserve.simulation.scenario import ScalingScenario

FORMAT: Final = "loraserve-autoscaling-simulation"
VERSION: Final = 1


@dataclass(frozen=True, kw_only=True)
class InstancePrice:
    """Price of an instance."""

    instance_type: str
    region: str
    hour_usd: float
    date: str
    """Date of the price list."""


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """Everything that report, document and pictures show."""

    trace: str
    requests: float
    mode: Mode
    model: InstanceModel
    scenario: ScalingScenario
    price: InstancePrice | None
    outcomes: tuple[PolicyOutcome, ...]
    recommendation: Recommendation

    @property
    def front(self) -> list[PolicyOutcome]:
        """Policies that no other beats in cost without more misses."""
        return front(self.outcomes)

    @property
    def default(self) -> PolicyOutcome | None:
        """The default policy's outcome, if it was compared."""
        return by_name(self.outcomes, DEFAULT_NAME)

    def month_usd(self, outcome: PolicyOutcome) -> float | None:
        """Return USD a month; None without a price."""
        return None if self.price is None else month_usd(outcome, self.price.hour_usd)


def labels(result: SimulationResult) -> dict[str, str]:
    """Return the origin of each input and result: computed, measured or assumed."""
    return {
        "instance": f"{result.model.label}: {result.model.source}",
        "start_seconds": "assumed",
        "slo": "assumed",
        "alarms": "as AWS documents them; 3 periods of 10 s and the metrics' delays are assumed",
        "misses, latency, instance_hours, usd": "computed",
    }


def as_json(result: SimulationResult) -> str:
    """Return the result as a JSON document; times in seconds, shares from 0 to 1."""
    scenario, latency = result.scenario, result.model.latency
    document = {
        "format": FORMAT,
        "version": VERSION,
        "labels": labels(result),
        "trace": result.trace,
        "requests": round(result.requests, 3),
        "mode": result.mode,
        "scenario": {
            "duration_s": scenario.duration_s,
            "warm_up_s": scenario.warm_up_s,
            "slo_s": scenario.slo_s,
            "seed": scenario.seed,
            "begin": scenario.begin.isoformat(),
            "start_s": {"median": scenario.starts.median_s, "sigma": scenario.starts.sigma},
            "latency": {
                "base_s": latency.base_s,
                "per_request_s": latency.per_request_s,
                "max_in_flight": latency.max_in_flight,
            },
        },
        "price": None if result.price is None else vars(result.price),
        "policies": [_outcome(result, outcome, result.front) for outcome in result.outcomes],
        "recommended": {
            "policy": result.recommendation.outcome.policy.name,
            "reason": result.recommendation.reason,
            "autoscaling": stage_keys(result.recommendation.outcome.policy),
        },
    }
    return json.dumps(document, indent=2)


def stage_keys(policy: ScalingCandidate) -> dict[str, Any]:
    """Return the keys of a stage's section `autoscaling` for a policy."""
    tracking = policy.tracking
    keys: dict[str, Any] = {
        "metric": policy.metric,
        "target": _whole(tracking.target),
        "min_instances": tracking.min_instances,
        "max_instances": tracking.max_instances,
        "scale_out_cooldown_seconds": _whole(tracking.out_cooldown_s),
        "scale_in_cooldown_seconds": _whole(tracking.in_cooldown_s),
    }
    if policy.schedules:
        keys["schedules"] = [schedule.model_dump() for schedule in policy.schedules]
    return keys


def _outcome(
    result: SimulationResult, outcome: PolicyOutcome, best: Sequence[PolicyOutcome]
) -> dict[str, Any]:
    usd = result.month_usd(outcome)
    return {
        "name": outcome.policy.name,
        "autoscaling": stage_keys(outcome.policy),
        "misses": outcome.misses,
        "latency_s": {f"p{percent}": seconds for percent, seconds in outcome.latency_s.items()},
        "waited": outcome.waited,
        "wait_s": {f"p{percent}": seconds for percent, seconds in outcome.wait_s.items()},
        "instance_hours": outcome.instance_hours,
        "mean_instances": outcome.mean_instances,
        "most_instances": outcome.most_instances,
        "usd": None if result.price is None else outcome.instance_hours * result.price.hour_usd,
        "usd_per_month": usd,
        "on_front": outcome in best,
        "arrived": outcome.arrived,
        "served": outcome.served,
        "in_flight": outcome.in_flight,
        "sizes": [[size.at_s, size.serving, size.capacity] for size in outcome.sizes],
    }


def _whole(number: float) -> float | int:
    return int(number) if number == int(number) else number
