"""The usual comparison of autoscaling policies: the default and a grid of targets, on the article's GPU."""

from __future__ import annotations

from collections.abc import Sequence

from loraserve.simulation import options
from loraserve.simulation.comparison import DEFAULT_GOAL, choose_mode, recommend, simulate
from loraserve.simulation.instance_model import ARTICLE, parse_instance_model
from loraserve.simulation.policies import default_policy, grid
from loraserve.simulation.result import SimulationResult
from loraserve.simulation.scenario import ScalingScenario
from loraserve.simulation.simulated_traffic import SimulatedTraffic

#: Defaults of `simulate-autoscaling`: cooldowns after a scale-out and a scale-in, and what does not count.
COOLDOWNS_S = (300.0, 600.0)
WARM_UP_S = 1200.0


def usual_comparison(
    title: str,
    traffic: SimulatedTraffic,
    *,
    metrics: Sequence[str] = ("concurrent_requests",),
    targets: Sequence[float] = (),
    limits: tuple[int, int] = options.DEFAULT_LIMITS,
    slo_s: float = options.DEFAULT_SLO_S,
) -> SimulationResult:
    """Simulate the default policy and a grid of targets on the same requests.

    Args:
        title: the traffic's, in reports and pictures.
        traffic: the requests.
        metrics: metrics of the grid.
        targets: targets of the grid; empty: shares of what an instance carries within the SLO.
        limits: fewest and most instances.
        slo_s: a request above it is a miss.

    Raises:
        SimulationError: no target keeps the SLO, or the traffic is shorter than the warm-up.
    """
    model = parse_instance_model(ARTICLE, None, traffic.mean_tokens, slo_s)
    policies = [
        default_policy(limits, COOLDOWNS_S),
        *grid(
            metrics,
            targets,
            limits=limits,
            out_cooldowns_s=COOLDOWNS_S[:1],
            in_cooldowns_s=COOLDOWNS_S[1:],
            latency=model.latency,
            slo_s=slo_s,
        ),
    ]
    scenario = ScalingScenario(
        latency=model.latency, slo_s=slo_s, duration_s=traffic.duration_s, warm_up_s=WARM_UP_S
    )
    options.check_warm_up(scenario)
    mode = choose_mode(traffic, len(policies))
    price = options.price_of(None, None, None)
    outcomes = simulate(traffic, policies, scenario, mode)
    hour_usd = None if price is None else price.hour_usd
    return SimulationResult(
        trace=title,
        requests=traffic.requests,
        mode=mode,
        model=model,
        scenario=scenario,
        price=price,
        outcomes=tuple(outcomes),
        recommendation=recommend(outcomes, goal=DEFAULT_GOAL, hour_usd=hour_usd, budget_usd=None),
    )
