"""Comparison of policies: which are worth their cost, and which one to take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from loraserve.simulation.errors import SimulationError
from loraserve.simulation.events import ColdAdapters, simulate_events
from loraserve.simulation.fluid import simulate_fluid
from loraserve.simulation.outcome import PolicyOutcome
from loraserve.simulation.scaling_candidate import ScalingCandidate
from loraserve.simulation.scenario import ScalingScenario
from loraserve.simulation.simulated_traffic import MOST_EVENTS, SimulatedTraffic
from stacks.sizing.cost_estimate import HOURS_PER_MONTH

Mode = Literal["events", "fluid"]
#: Share of misses that needs no better policy; assumed.
DEFAULT_GOAL: Final = 0.001
#: Difference of misses that is none: 0.02 points.
TOLERANCE: Final = 0.0002


@dataclass(frozen=True)
class ColdLoads:
    """Loading of an adapter into an instance without it."""

    load_s: float
    slots: int


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The policy to take."""

    outcome: PolicyOutcome
    reason: str


def choose_mode(traffic: SimulatedTraffic, policies: int) -> Mode:
    """Return `events` as long as all policies together have at most `MOST_EVENTS` requests."""
    return "events" if traffic.requests * policies <= MOST_EVENTS else "fluid"


def simulate(
    traffic: SimulatedTraffic,
    policies: Sequence[ScalingCandidate],
    scenario: ScalingScenario,
    mode: Mode,
    *,
    cold: ColdLoads | None = None,
    advance: Callable[[float], None] = lambda share: None,
) -> list[PolicyOutcome]:
    """Simulate policies; `advance` is called with the share of the work done since its last call.

    Raises:
        SimulationError: loading of adapters is asked of the fluid.
    """
    if mode == "fluid":
        if cold is not None:
            raise SimulationError(
                "cold adapters are simulated by events only: give fewer policies, a smaller --scale, or "
                "--mode events"
            )
        seconds = traffic.duration_s
        return simulate_fluid(
            traffic.arrivals(), policies, scenario, advance=lambda done: advance(done / seconds)
        )
    workload, all_requests = traffic.workload, max(1, len(traffic.workload) * len(policies))
    loads = None
    if cold is not None:
        loads = ColdAdapters(adapter=workload.adapter, load_s=cold.load_s, slots=cold.slots)
    return [
        simulate_events(
            workload.due_s, policy, scenario, cold=loads, advance=lambda done: advance(done / all_requests)
        )
        for policy in policies
    ]


def front(outcomes: Sequence[PolicyOutcome]) -> list[PolicyOutcome]:
    """Return the Pareto front: those that no other beats in cost without more misses; the cheapest first."""
    found: list[PolicyOutcome] = []
    for outcome in sorted(outcomes, key=lambda each: (each.instance_hours, each.misses)):
        if not found or outcome.misses < found[-1].misses:
            found.append(outcome)
    return found


def recommend(
    outcomes: Sequence[PolicyOutcome], *, goal: float, hour_usd: float | None, budget_usd: float | None
) -> Recommendation:
    """Return the policy to take.

    Without a budget the cheapest whose misses are within the goal, or no more than `TOLERANCE` above the
    fewest; with a budget the one with the fewest misses within it.

    Args:
        outcomes: the simulated policies, one at least.
        goal: share of misses that needs no better policy.
        hour_usd: price of an instance's hour; None if it is not known.
        budget_usd: USD a month, on average over the simulated time.

    Raises:
        SimulationError: a budget without a price, or below the cost of every policy.
    """
    if budget_usd is None:
        fewest = min(outcome.misses for outcome in outcomes)
        bound = max(goal, fewest + TOLERANCE)
        taken = min(
            (each for each in outcomes if each.misses <= bound),
            key=lambda each: (each.instance_hours, each.misses),
        )
        if bound == goal:
            reason = f"the cheapest with at most {goal:.2%} misses"
        else:
            reason = f"no policy is within {goal:.2%} misses; the cheapest of those close to the fewest"
        return Recommendation(outcome=taken, reason=reason)
    if hour_usd is None:
        raise SimulationError(
            "a budget needs a price: give an instance type that prices.yaml has, --instance"
        )
    affordable = [each for each in outcomes if month_usd(each, hour_usd) <= budget_usd]
    if not affordable:
        least = min(month_usd(each, hour_usd) for each in outcomes)
        raise SimulationError(
            f"every policy costs more than ${budget_usd:,.0f} a month: give at least ${least:,.0f}, or a "
            "larger target"
        )
    taken = min(affordable, key=lambda each: (each.misses, each.instance_hours))
    return Recommendation(outcome=taken, reason=f"the fewest misses for at most ${budget_usd:,.0f} a month")


def month_usd(outcome: PolicyOutcome, hour_usd: float) -> float:
    """Return USD a month at the mean number of instances of the simulated time."""
    return outcome.mean_instances * HOURS_PER_MONTH * hour_usd


def by_name(outcomes: Sequence[PolicyOutcome], name: str) -> PolicyOutcome | None:
    """Return the outcome of the policy `name`; None without one."""
    return next((outcome for outcome in outcomes if outcome.policy.name == name), None)
