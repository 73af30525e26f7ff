"""The report of a load test on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loraserve.load.measure import MeasuredRun
from loraserve.load.percentiles import TimeFigures
from loraserve.load.result import LoadOutcome
from loraserve.load.summary import AdapterResults, LoadSummary
from loraserve.tables import slim_table

#: Adapters that the table shows; `--json` has all.
SHOWN_ADAPTERS = 20
#: In the closed loop's title and in its plots.
CLOSED_LOOP = "closed loop: hides queueing"
_TIMES = (
    ("latency, from due", "latency_s"),
    ("service time, from sent", "service_s"),
    ("first token, from due", "ttft_s"),
    ("first token, from sent", "ttft_service_s"),
    ("between tokens", "itl_s"),
    ("latency, first of an adapter", "cold_s"),
    ("latency, all others", "warm_s"),
)


def report(console: Console, measured: MeasuredRun, *, is_closed: bool) -> None:
    """Print the figures of a run, all measured, its warnings, and its health."""
    summary = measured.summary
    title = f"{measured.endpoint}: {summary.requests} requests" + (f" ({CLOSED_LOOP})" if is_closed else "")
    console.print(figures(title, summary, str(measured.slo)))
    if summary.latency_s is not None:
        console.print(latencies(summary))
    if summary.adapters:
        console.print(adapters(summary.adapters))
    for outcome, count in summary.outcomes.items():
        if outcome != LoadOutcome.OK.value:
            message = summary.first_messages.get(outcome, "")
            console.print(
                f"[red]✗[/] {count} × {outcome}" + (f", first: {escape(message)}" if message else "")
            )
    for check in ("wrong adapter", "wrong text"):
        if count := summary.checks.get(check, 0):
            console.print(f"[red]✗[/] {count} × {check}")
    for line in health(measured):
        console.print(line)
    for warning in measured.warnings:
        console.print(f"[yellow]![/] {escape(warning)}")
    if measured.run.interrupted:
        console.print(
            f"[yellow]![/] interrupted: {measured.run.unfinished} requests in flight are not counted"
        )
    for reason in measured.run.health.invalid_because:
        console.print(f"[red]INVALID[/] {escape(reason)}")


def figures(title: str, summary: LoadSummary, slo: str) -> Table:
    """Return the table of rates, tokens and shares."""
    table = slim_table(title=escape(title), show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    bound = f" within {slo}" if slo else ""
    rows = [
        ("answered", f"{summary.answered_rps:.2f} requests/s"),
        (f"goodput: answered, right{bound}", f"{summary.goodput:.2%}, {summary.good_rps:.2f} requests/s"),
        ("errors", str(summary.errors)),
        ("wrong answers", str(summary.wrong)),
        (
            f"output tokens, by {summary.tokens_from}",
            f"{summary.output_tokens}, {summary.output_tokens_per_s:.1f} tokens/s",
        ),
        ("input tokens", "not in the answers" if summary.input_tokens is None else str(summary.input_tokens)),
    ]
    if summary.jain_index is not None:
        rows.append(("Jain's index of adapters' tokens/s", f"{summary.jain_index:.3f}"))
    for row in rows:
        table.add_row(*row)
    return table


def latencies(summary: LoadSummary) -> Table:
    """Return the table of percentiles."""
    table = slim_table(title="seconds")
    for name in ("", "n", "mean", "p50", "p90", "p95", "p99", "max"):
        table.add_column(name, justify="right" if name else "left")
    for title, name in _TIMES:
        times: TimeFigures | None = getattr(summary, name)
        if times is not None:
            table.add_row(title, str(times.count), *map(seconds, _percentiles(times)))
    return table


def adapters(found: Sequence[AdapterResults]) -> Table:
    """Return the table of adapters, the most requested ones."""
    rest = len(found) - SHOWN_ADAPTERS
    table = slim_table(title="by adapter", caption=f"and {rest} others, in --json" if rest > 0 else None)
    for name in ("adapter", "n", "p50", "p95", "p99", "errors", "wrong", "goodput"):
        table.add_column(name, justify="left" if name == "adapter" else "right", overflow="fold")
    for one in found[:SHOWN_ADAPTERS]:
        times = one.latency_s
        table.add_row(
            "(base model)" if one.name is None else escape(one.name),
            str(one.requests),
            *(("", "", "") if times is None else map(seconds, (times.p50, times.p95, times.p99))),
            str(one.errors),
            str(one.wrong),
            f"{one.goodput:.1%}",
        )
    return table


def health(measured: MeasuredRun) -> Iterator[str]:
    """Yield the lines about the generator."""
    found = measured.run.health
    lag = ""
    if found.lag_p50_s is not None and found.lag_p99_s is not None and found.lag_max_s is not None:
        lag = (
            f"send lag p50 {found.lag_p50_s * 1e3:.2f}, p99 {found.lag_p99_s * 1e3:.2f}, "
            f"max {found.lag_max_s * 1e3:.2f} ms; "
        )
    if found.asked_rate is not None and found.reached_rate is not None:
        lag += f"{found.reached_rate:.2f} of {found.asked_rate:.2f} requests/s sent; "
    collector = "" if found.gc_off else "; garbage was collected during the run"
    yield f"generator: {lag}core {found.cpu_share:.0%} busy{collector}"


def sweep(runs: Sequence[tuple[float | None, MeasuredRun]]) -> Table:
    """Return the table of a sweep, a line for each rate."""
    table = slim_table(title="sweep")
    for name in (
        "due/s",
        "answered/s",
        "goodput",
        "tokens/s",
        "p50",
        "p95",
        "p99",
        "errors",
        "wrong",
        "valid",
    ):
        table.add_column(name, justify="right")
    for rate, measured in runs:
        summary = measured.summary
        times = summary.latency_s
        table.add_row(
            "trace" if rate is None else f"{rate:g}",
            f"{summary.answered_rps:.2f}",
            f"{summary.goodput:.1%}",
            f"{summary.output_tokens_per_s:.1f}",
            *(("", "", "") if times is None else map(seconds, (times.p50, times.p95, times.p99))),
            str(summary.errors),
            str(summary.wrong),
            "yes" if measured.run.health.valid else "INVALID",
        )
    return table


def seconds(value: float) -> str:
    """Return seconds to the millisecond."""
    return f"{value:.3f}"


def _percentiles(times: TimeFigures) -> tuple[float, ...]:
    return (times.mean, times.p50, times.p90, times.p95, times.p99, times.max)
