"""Requests in flight against invocations per instance, at equal cost.

    python -m benchmarks.autoscaling_policies TRACE[@SCALE] …

For each trace the policy on requests in flight at 0.4 times what an instance answers within the SLO is
compared with the policy on invocations whose instance-hours are nearest, and with AWS's example of 5 requests
in flight. Candidates are found in steps of a second; what is printed is simulated request by request.
Instance and SLO are those of `simulate-autoscaling`'s defaults, and runs begin with one instance.
docs/autoscaling.md has the result, for Azure's traces of 2023 (Azure/AzurePublicDataset, data/) and
`synthetic:slora,rate=10,seconds=3600,cv=8`. START_SECONDS is 330 unless it is set.

Duration: 20 seconds on one core.
"""

from __future__ import annotations

import math
import os
import sys

from loraserve.simulation.comparison import simulate
from loraserve.simulation.instance_model import ARTICLE, parse_instance_model
from loraserve.simulation.outcome import PolicyOutcome
from loraserve.simulation.policies import default_policy
from loraserve.simulation.scaling_candidate import ScalingCandidate, scaling_candidate
from loraserve.simulation.scenario import ScalingScenario
from loraserve.simulation.simulated_traffic import parse_traffic
from loraserve.simulation.start_times import parse_start_times
from stacks.sizing.throughput import slo_concurrency

_SLO_S, _SHARE = 4.0, 0.4
_LIMITS, _COOLDOWNS_S = (1, 40), (300.0, 600.0)
#: 2 % apart, from 20 to 800 a minute.
_INVOCATIONS = [20 * 1.02**step for step in range(187)]
#: Policies on invocations of nearly the same cost by steps of a second, of which the nearest is taken.
_NEAREST = 8


def main(traces: list[str]) -> None:
    """Print a line for each trace."""
    starts = parse_start_times(os.environ.get("START_SECONDS", "330"))
    model = parse_instance_model(ARTICLE, None, None)
    target = round(_SHARE * slo_concurrency(model.latency.seconds, _SLO_S, model.latency.max_in_flight))
    print("computed: instance-hours and misses of a start of", f"{starts.median_s:g} s")
    for trace in traces:
        name, _, scale = trace.partition("@")
        traffic = parse_traffic(name, float(scale or 1), 0)
        scenario = ScalingScenario(
            latency=model.latency, slo_s=_SLO_S, duration_s=traffic.duration_s, starts=starts
        )
        default, ours = simulate(
            traffic,
            [default_policy(_LIMITS, _COOLDOWNS_S), _policy("concurrent_requests", target)],
            scenario,
            "events",
        )
        grid = [_policy("invocations_per_instance", each) for each in _INVOCATIONS]
        near = _nearest(simulate(traffic, grid, scenario, "fluid"), ours)[:_NEAREST]
        equal = _nearest(simulate(traffic, [each.policy for each in near], scenario, "events"), ours)[0]
        fewer = 1 - ours.misses / equal.misses if equal.misses else 0.0
        print(f"{trace}: {_text(ours)} | {_text(equal)} ({fewer:.0%} fewer) | {_text(default)}", flush=True)


def _nearest(outcomes: list[PolicyOutcome], to: PolicyOutcome) -> list[PolicyOutcome]:
    """Return the outcomes, those whose cost is nearest first."""
    return sorted(outcomes, key=lambda each: abs(math.log(each.instance_hours / to.instance_hours)))


def _policy(metric: str, target: float) -> ScalingCandidate:
    name = f"{metric} {target:.0f}"
    return scaling_candidate(name, metric, target=target, limits=_LIMITS, cooldowns_s=_COOLDOWNS_S)


def _text(outcome: PolicyOutcome) -> str:
    return f"{outcome.policy.name}: {outcome.instance_hours:,.2f} h, {outcome.misses:.2%}"


if __name__ == "__main__":
    main(sys.argv[1:])
