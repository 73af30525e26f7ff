"""The demo's results as a table and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from loraserve.demo.load_test import Run

#: Requests per second that the article reports, for one ml.g5.xlarge (A10G) with Mistral-7B-Instruct: one
#: adapter, and fifty at random.
ARTICLE_SINGLE_RPS = 7.09
ARTICLE_RANDOM_RPS = 7.04
_BLUE, _ORANGE, _GREY = "#1f6fb2", "#d9822b", "#666666"


def table(single: dict[str, Any], spread: dict[str, Any]) -> Table:
    """Make the table of both scenarios; each argument is a result of `load_test.median_run`."""
    result = Table(title="medians of the rounds; errors and wrong answers are of all rounds together")
    result.add_column("")
    result.add_column("one adapter", justify="right")
    result.add_column(f"random over {spread['adapters']}", justify="right")
    rows: list[tuple[str, ...]] = [
        ("requests a round", *(str(run["requests"]) for run in (single, spread))),
        ("total time", *(f"{run['total_s']:.2f} s" for run in (single, spread))),
    ]
    for name in ("mean", "p50", "p95", "p99"):
        rows.append((f"latency {name}", *(f"{run['latency_s'][name]:.3f} s" for run in (single, spread))))
    rows += [
        ("requests/s", *(f"{run['rps']:.2f}" for run in (single, spread))),
        ("output tokens/s", *(f"{run['tokens_per_s']:.0f}" for run in (single, spread))),
        ("errors", *(str(run["errors"]) for run in (single, spread))),
        ("wrong answers", *(str(run["wrong_answer"]) for run in (single, spread))),
        ("wrong adapters", *(str(run["wrong_adapter"]) for run in (single, spread))),
        ("the article, A10G", f"{ARTICLE_SINGLE_RPS} requests/s", f"{ARTICLE_RANDOM_RPS} requests/s"),
    ]
    for row in rows:
        result.add_row(*row)
    return result


def plot(
    path: Path,
    single_runs: Sequence[Run],
    spread_runs: Sequence[Run],
    single_seconds: Sequence[float],
    spread_seconds: Sequence[float],
) -> None:
    """Draw requests per second by round and the distribution of latencies, as a PNG file."""
    # Imported here: it takes half a second, and the backend must be chosen first.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    adapters = spread_runs[0].adapters
    names = ("one adapter", f"random over {adapters}")
    figure, (rates, latencies) = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for offset, (runs, name, colour) in enumerate(
        zip((single_runs, spread_runs), names, (_BLUE, _ORANGE), strict=True)
    ):
        positions = [index + (offset - 0.5) * 0.36 for index in range(len(runs))]
        bars = rates.bar(positions, [run.rps for run in runs], 0.34, color=colour, label=name)
        rates.bar_label(bars, fmt="%.1f", fontsize=8)
    rates.set_xticks(range(len(single_runs)), [f"round {index + 1}" for index in range(len(single_runs))])
    rates.set_ylabel("requests per second")
    ratio = statistics.median(run.rps for run in spread_runs) / statistics.median(
        run.rps for run in single_runs
    )
    rates.set_title(f"Throughput: {adapters} adapters give {ratio:.2f} × of one")
    rates.margins(y=0.2)
    rates.legend(frameon=False, loc="upper right", ncols=2)
    for seconds, name, colour in (
        (single_seconds, names[0], _BLUE),
        (spread_seconds, names[1], _ORANGE),
    ):
        latencies.ecdf(seconds, color=colour, label=name)
    latencies.set_xlabel("seconds from request to whole answer")
    latencies.set_ylabel("share of requests")
    latencies.set_title("Latency, all rounds")
    latencies.grid(color="#dddddd")
    latencies.legend(frameon=False, loc="lower right")
    for axes in (rates, latencies):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
