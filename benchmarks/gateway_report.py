"""Report of the gateway benchmark: a table for the terminal and for docs/benchmarks.md.

Each result is computed from the medians; a ratio of throughputs is the median of the rounds' ratios. The
lowest and the highest round follow in brackets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from benchmarks import gateway_cold_start as cold
from benchmarks import gateway_overhead as overhead
from benchmarks import gateway_throughput as throughput
from loraserve.demo.scenarios import ratio_of

COLUMNS = ("", "compared with", "gateway", "result", "target")


@dataclass(frozen=True)
class Row:
    """One figure, the reference that it is compared with, and its target."""

    what: str
    reference: str
    measured: str
    result: str = ""
    target: str = ""
    met: bool | None = None
    """None if there is no target."""

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells in the order of `COLUMNS`."""
        mark = {None: "", True: " ✓", False: " ✗"}[self.met]
        return (self.what, self.reference, self.measured, self.result, self.target + mark)


def rows(figures: Mapping[str, Any]) -> list[Row]:
    """Return the rows of the parts that were measured."""
    makers: dict[str, Callable[[Mapping[str, Any]], list[Row]]] = {
        "overhead": overhead_rows,
        "throughput": throughput_rows,
        "cold": cold_rows,
    }
    return [row for part, make in makers.items() if part in figures for row in make(figures[part])]


def overhead_rows(figures: Mapping[str, Any]) -> list[Row]:
    """Return the rows of the overhead in front of the null engine."""
    found = figures["medians"]
    rate, streams = f"{overhead.RATE:.0f} requests/s", f"{overhead.STREAMS} streams"
    gateway_rps = found["gateway_rps"]
    each = sorted(one["cpu_us"] for one in figures["rounds"])
    return [
        Row(
            "requests/s, gateway on one core",
            f"{found['engine_rps']:,.0f} (null engine alone)",
            f"{gateway_rps:,.0f}",
            f"{found['cpu_us']:.0f} µs each on {found['core_busy']:.0%} of the core "
            f"({each[0]:.0f} to {each[-1]:.0f})",
            "≥ 1,500",
            gateway_rps >= 1500,
        ),
        _added(f"latency p50 at {rate}", figures, "p50_ms", 1),
        _added(f"latency p99 at {rate}", figures, "p99_ms", 5),
        _added(f"event of a stream, p50, {streams}", figures, "event_p50_ms", 0.2),
        _added(f"event of a stream, p99, {streams}", figures, "event_p99_ms", None),
        _added(f"the same, translated to LoRAX's schema, p50, {streams}", figures, "event_p50_ms", None,
               side=overhead.TRANSLATED),
    ]  # fmt: skip


def _added(
    what: str, figures: Mapping[str, Any], figure: str, most: float | None, *, side: str = overhead.GATEWAY
) -> Row:
    engine, gateway = (figures["medians"][f"{of}_{figure}"] for of in (overhead.ENGINE, side))
    added = gateway - engine
    each = sorted(one[f"{side}_{figure}"] - one[f"{overhead.ENGINE}_{figure}"] for one in figures["rounds"])
    target = "" if most is None else f"≤ {most:g} ms more"
    met = None if most is None else added <= most
    result = f"{added:+.2f} ms ({each[0]:+.2f} to {each[-1]:+.2f})"
    return Row(what, f"{engine:.2f} ms", f"{gateway:.2f} ms", result, target, met)


def throughput_rows(figures: Mapping[str, Any]) -> list[Row]:
    """Return the rows of the throughput in front of vLLM."""
    found = figures["medians"]
    comparisons: tuple[tuple[str, str, str, float | None], ...] = (
        ("50 adapters ÷ one adapter, through the gateway", "gateway_fifty", "gateway_one", 0.95),
        ("50 adapters ÷ one adapter, engine alone", "engine_fifty", "engine_one", None),
        ("one adapter ÷ base model, through the gateway", "gateway_one", "gateway_base", None),
        ("one adapter ÷ base model, engine alone", "engine_one", "engine_base", None),
        ("base model, gateway ÷ engine alone", "gateway_base", "engine_base", None),
        ("one adapter, gateway ÷ engine alone", "gateway_one", "engine_one", None),
        ("50 adapters, gateway ÷ engine alone", "gateway_fifty", "engine_fifty", 0.98),
        (
            f"500 adapters by Zipf's law, {throughput.RESIDENT} resident ÷ one adapter",
            "gateway_zipf",
            "gateway_one",
            0.85,
        ),
    )
    result = []
    for what, measured, reference, least in comparisons:
        ratio = ratio_of(*([one[side] for one in figures["rounds"]] for side in (measured, reference)))
        result.append(
            Row(
                f"output tokens/s: {what}",
                f"{found[reference]:.0f}",
                f"{found[measured]:.0f}",
                f"{ratio.ratio:.3f} ({ratio.lowest:.2f} to {ratio.highest:.2f})",
                "" if least is None else f"≥ {least}",
                None if least is None else ratio.ratio >= least,
            )
        )
    sent = figures["requests"] * len(figures["rounds"]) * len(throughput.SCENARIOS)
    wrong = figures["wrong"]
    result.append(
        Row(
            f"errors, wrong adapters, wrong lengths among {sent:,} answers",
            "",
            f"{wrong['errors']}, {wrong['wrong_adapter']}, {wrong['wrong_length']}",
            "",
            "0, 0, 0",
            not any(wrong[kind] for kind in ("errors", "wrong_adapter", "wrong_length")),
        )
    )
    result.append(Row("load generator, share of a core, most", "", f"{figures['client_share']:.0%}"))
    return result


def cold_rows(figures: Mapping[str, Any]) -> list[Row]:
    """Return the rows of the first request to a cold adapter."""
    found = figures["medians"]
    least = found[cold.DOWNLOAD] + found[cold.LOAD]
    whole, fetched = (
        [_times_the_least(round_of, steps) for round_of in (found, *figures["rounds"])]
        for steps in ((), (cold.PROBE, cold.AGAIN))
    )
    return [
        Row(
            f"first request to a cold adapter of {figures['bytes'] / 1e6:.0f} MB",
            f"{least:.3f} s (download {found[cold.DOWNLOAD]:.3f}, load {found[cold.LOAD]:.3f})",
            f"{found[cold.FIRST]:.3f} s",
            f"{whole[0]:.2f} ({min(whole[1:]):.2f} to {max(whole[1:]):.2f})",
            "≤ 1.5",
            whole[0] <= 1.5,
        ),
        Row(
            "the same, less the two rows below",
            "",
            "",
            f"{fetched[0]:.2f} ({min(fetched[1:]):.2f} to {max(fetched[1:]):.2f})",
        ),
        Row("probe of the loaded adapter, engine alone", "", f"{found[cold.PROBE]:.3f} s"),
        Row("the same request again", "", f"{found[cold.AGAIN]:.3f} s"),
    ]


def _times_the_least(figures: Mapping[str, float], steps: Sequence[str]) -> float:
    """Return the first request, less these steps of the engine, ÷ plain download and load."""
    first = figures[cold.FIRST] - sum(figures[step] for step in steps)
    return first / (figures[cold.DOWNLOAD] + figures[cold.LOAD])


def table(title: str, found: Sequence[Row]) -> Table:
    """Make the table for the terminal."""
    result = Table(title=title)
    for column in COLUMNS:
        result.add_column(column, justify="right" if column in COLUMNS[1:4] else "left")
    for row in found:
        colour = {None: "", True: "green", False: "red"}[row.met]
        result.add_row(*row.cells, style=colour)
    return result


def markdown(found: Sequence[Row]) -> str:
    """Make the same table for docs/benchmarks.md."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(row.cells) + " |" for row in found]
    return "\n".join(lines).replace("  |", " |") + "\n"
