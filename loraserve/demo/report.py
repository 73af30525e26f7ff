"""The demo's results as tables and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from loraserve.demo.measurement import Measurement
from loraserve.demo.questions import EQUAL
from loraserve.demo.scenarios import Ratio

#: Requests per second that the article reports, for one ml.g5.xlarge (A10G) with Mistral-7B-Instruct: one
#: adapter, and fifty at random.
ARTICLE_SINGLE_RPS = 7.09
ARTICLE_RANDOM_RPS = 7.04
#: How a table's figures come from the rounds.
AGGREGATED = "medians of the rounds, sums of errors and wrong answers"
_COLOURS = ("#777777", "#1f6fb2", "#d9822b")


def show(console: Console, document: Mapping[str, Any], ratios: Mapping[str, Ratio], adapters: int) -> None:
    """Print both tables of a `demo.json`, and the ratios below them: equal work first."""
    equal = f"equal work: every answer has {EQUAL.tokens} tokens"
    console.print(table(equal, document["equal_work"]["medians"]))
    console.print(
        f"{adapters} adapters ÷ one, output tokens/s: [bold]{ratios['fifty_to_one']}[/]; "
        f"one adapter ÷ base model: {ratios['one_to_base']}"
    )
    console.print(table("own length: the model ends its answer", document["own_length"]["medians"]))
    console.print(
        f"{adapters} adapters ÷ one, requests/s: {ratios['own_length_fifty_to_one_requests']} "
        f"(the article on an A10G: {ARTICLE_RANDOM_RPS} ÷ {ARTICLE_SINGLE_RPS} = "
        f"{ARTICLE_RANDOM_RPS / ARTICLE_SINGLE_RPS:.3f}); "
        f"output tokens/s: {ratios['own_length_fifty_to_one_tokens']}"
    )


def table(title: str, figures: Mapping[str, Mapping[str, Any]]) -> Table:
    """Make the table of scenarios; `figures` has the result of `scenarios.over_rounds` for each name."""
    result = Table(title=f"{title}; {AGGREGATED}")
    result.add_column("")
    for name in figures:
        result.add_column(name, justify="right")
    for row in rows(figures):
        result.add_row(*row)
    return result


def rows(figures: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the rows of a table of scenarios: the figure's name, then its value in each scenario."""
    runs = figures.values()
    found: list[tuple[str, ...]] = [
        ("output tokens/s", *(f"{run['tokens_per_s']:.0f}" for run in runs)),
        ("requests/s", *(f"{run['rps']:.2f}" for run in runs)),
        ("requests a round", *(str(run["requests"]) for run in runs)),
    ]
    for name in ("mean", "p50", "p95", "p99"):
        found.append((f"latency {name}", *(f"{run['latency_s'][name]:.3f} s" for run in runs)))
    found += [
        ("errors", *(str(run["errors"]) for run in runs)),
        ("wrong answers", *(str(run["wrong_answer"]) for run in runs)),
        ("wrong adapters", *(str(run["wrong_adapter"]) for run in runs)),
        ("load generator", *(f"{run['client_share']:.0%} of a core" for run in runs)),
    ]
    return found


def plot(
    path: Path,
    rounds: Mapping[str, Sequence[Measurement]],
    seconds: Mapping[str, Sequence[float]],
    title: str,
) -> None:
    """Draw output tokens per second by round and the distribution of latencies, as a PNG file.

    `rounds` has the measurements of each scenario of equal work, `seconds` the latencies of all its requests.
    """
    # Imported here: it takes half a second, and the backend must be chosen first.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    figure, (rates, latencies) = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    width = 0.8 / len(rounds)
    for offset, ((name, runs), colour) in enumerate(zip(rounds.items(), _COLOURS, strict=False)):
        positions = [index + (offset - (len(rounds) - 1) / 2) * width for index in range(len(runs))]
        bars = rates.bar(
            positions, [run.tokens_per_s for run in runs], width * 0.94, color=colour, label=name
        )
        rates.bar_label(bars, fmt="%.0f", fontsize=8)
        latencies.ecdf(seconds[name], color=colour, label=name)
    count = len(next(iter(rounds.values())))
    rates.set_xticks(range(count), [f"round {index + 1}" for index in range(count)])
    rates.set_ylabel("output tokens per second")
    rates.set_title(title)
    rates.margins(y=0.2)
    # For both pictures.
    rates.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=len(rounds))
    latencies.set_xlabel("seconds from request to whole answer")
    latencies.set_ylabel("share of requests")
    latencies.set_title("Latency, all rounds, answers of equal length")
    latencies.grid(color="#dddddd")
    for axes in (rates, latencies):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
