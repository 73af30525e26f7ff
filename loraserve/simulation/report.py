"""The text of `simulate-autoscaling`."""

from __future__ import annotations

import yaml
from rich.console import Console
from rich.table import Table

from loraserve.simulation.outcome import PolicyOutcome
from loraserve.simulation.result import SimulationResult, stage_keys
from loraserve.tables import slim_table


def report(console: Console, result: SimulationResult) -> None:
    """Print the comparison, the recommended policy and what the default costs."""
    for line in _inputs(result):
        console.print(line, markup=False, highlight=False)
    console.print(_table(result))
    console.print(
        "Computed. *: no policy has fewer misses for less. Instance-hours count from the decision to add an "
        "instance.",
        style="dim",
    )
    console.print()
    for line in _advice(result):
        console.print(line, markup=False, highlight=False)


def _inputs(result: SimulationResult) -> list[str]:
    scenario, latency, model = result.scenario, result.model.latency, result.model
    starts = scenario.starts
    start = f"{starts.median_s:g} s" + (f", lognormal with sigma {starts.sigma:g}" if starts.sigma else "")
    how = "request by request" if result.mode == "events" else "in steps of a second"
    return [
        f"Trace ({how}): {result.trace}, {result.requests:,.0f} requests in "
        f"{scenario.duration_s / 3600:,.1f} hours",
        f"Instance ({model.label}: {model.source}): {latency.base_s:.3g} s + {latency.per_request_s:.3g} s "
        f"for each request in flight, at most {latency.max_in_flight} at once",
        f"Assumed: an instance starts in {start}; a request above {scenario.slo_s:.4g} s is a miss; the "
        f"first {scenario.warm_up_s / 60:g} minutes do not count",
    ]


def _table(result: SimulationResult) -> Table:
    table = slim_table()
    table.add_column("policy")
    headings = (
        "misses",
        "p95 s",
        "p99 s",
        "p99\nwait s",
        "instance-\nhours",
        "most\ninstances",
        "USD\na month",
        "",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    best = result.front
    for outcome in result.outcomes:
        usd = result.month_usd(outcome)
        table.add_row(
            outcome.policy.name,
            f"{outcome.misses:.3%}",
            f"{outcome.latency_s[95]:.2f}",
            f"{outcome.latency_s[99]:.2f}",
            f"{outcome.wait_s[99]:.2f}",
            f"{outcome.instance_hours:,.1f}",
            f"{outcome.most_instances}",
            "–" if usd is None else f"{usd:,.0f}",
            "*" if outcome in best else "",
        )
    return table


def _advice(result: SimulationResult) -> list[str]:
    taken = result.recommendation.outcome
    lines = [
        f"Recommended: {taken.policy.name}, {result.recommendation.reason}.",
        *yaml.safe_dump({"autoscaling": stage_keys(taken.policy)}, sort_keys=False).splitlines(),
    ]
    default = result.default
    if default is not None and default is not taken:
        lines.append(
            f"The default ({default.policy.tracking.target:g} requests in flight) takes "
            f"{_cost(result, default)} for {default.misses:.3%} misses; recommended: {_cost(result, taken)} "
            f"for {taken.misses:.3%}, {_times(taken, default)} of its cost."
        )
    if result.price is not None:
        price = result.price
        lines.append(
            f"Price: {price.instance_type} in {price.region}, ${price.hour_usd:g} an hour ({price.date})."
        )
    return lines


def _cost(result: SimulationResult, outcome: PolicyOutcome) -> str:
    hours = f"{outcome.instance_hours:,.1f} instance-hours"
    usd = result.month_usd(outcome)
    return hours if usd is None else f"{hours} (${usd:,.0f} a month)"


def _times(outcome: PolicyOutcome, other: PolicyOutcome) -> str:
    return f"{outcome.instance_hours / other.instance_hours:.0%}"
