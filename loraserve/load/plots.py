"""Pictures of a load test: latencies, the run over time, adapters, and a sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loraserve.load.document import in_flight_when_sent
from loraserve.load.measure import MeasuredRun
from loraserve.load.result import LoadOutcome, RequestResult

_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#1f6fb2", "#d9822b", "#3a8f5c", "#c23b3b", "#666666"
#: Adapters of the bar chart; more names are not readable.
_SHOWN_ADAPTERS = 50


def plot_run(folder: Path, measured: MeasuredRun, *, warm_up_s: float = 0) -> list[Path]:
    """Draw a run into `folder`: latencies.png, timeline.png, and adapters.png if it had adapters."""
    folder.mkdir(parents=True, exist_ok=True)
    answered = [result for result in measured.run.results if result.outcome is LoadOutcome.OK]
    counted = [result for result in answered if result.due_s >= warm_up_s]
    written = [
        _save(folder / "latencies.png", lambda axes: _latencies(axes, counted)),
        _save(folder / "timeline.png", lambda axes: _timeline(axes, measured, warm_up_s), rows=2),
    ]
    if any(one.name is not None for one in measured.summary.adapters):
        written.append(_save(folder / "adapters.png", lambda axes: _adapters(axes, measured)))
    return written


def plot_sweep(folder: Path, runs: Sequence[tuple[float | None, MeasuredRun]]) -> Path:
    """Draw goodput and latency by rate, as sweep.png."""
    folder.mkdir(parents=True, exist_ok=True)
    return _save(folder / "sweep.png", lambda axes: _sweep(axes, runs), rows=2)


def _save(path: Path, draw: Callable[[Sequence[Any]], None], rows: int = 1) -> Path:
    # Imported here: it takes half a second, and the backend must be chosen first.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    figure, axes = pyplot.subplots(
        rows, 1, figsize=(9, 4.4 if rows == 1 else 6.4), layout="constrained", squeeze=False,
        sharex=rows > 1,
    )  # fmt: skip
    draw(list(axes[:, 0]))
    for one in axes[:, 0]:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(color="#e4e4e4")
        one.set_axisbelow(True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return path


def _latencies(axes: Sequence[Any], counted: Sequence[RequestResult]) -> None:
    [chart] = axes
    series: list[tuple[str, str, list[float]]] = [
        ("latency, from due", _BLUE, [result.latency_s for result in counted]),
        ("service time, from sent", _ORANGE, [result.service_s for result in counted]),
        (
            "first token, from due",
            _GREEN,
            [r.first_token_s - r.due_s for r in counted if r.first_token_s is not None],
        ),
    ]
    for name, colour, values in series:
        if values:
            chart.ecdf(values, color=colour, label=name)
    chart.set_xlabel("seconds")
    chart.set_ylabel("share of the answered requests")
    chart.set_title("Latency (measured)")
    chart.set_xlim(left=0)
    chart.legend(frameon=False, loc="lower right")


def _timeline(axes: Sequence[Any], measured: MeasuredRun, warm_up_s: float) -> None:
    dots, in_flight = axes
    results = measured.run.results
    for name, colour, chosen in (
        ("answered", _BLUE, [result for result in results if result.outcome is LoadOutcome.OK]),
        ("failed", _RED, [result for result in results if result.outcome is not LoadOutcome.OK]),
    ):
        if chosen:
            due: NDArray[np.float64] = np.array([result.due_s for result in chosen])
            dots.plot(due, [result.latency_s for result in chosen], ".", ms=3, color=colour, label=name)
    dots.set_ylabel("latency from due, s")
    dots.set_ylim(bottom=0)
    dots.set_title("The run over time (measured)")
    dots.legend(frameon=False, loc="upper right")
    order = sorted(range(len(results)), key=lambda index: results[index].sent_s)
    counts = in_flight_when_sent(results)
    in_flight.step(
        [results[index].sent_s for index in order],
        [counts[index] for index in order],
        where="post",
        color=_GREY,
        lw=1,
    )
    in_flight.set_xlabel("seconds of the run")
    in_flight.set_ylabel("requests in flight")
    in_flight.set_ylim(bottom=0)
    if warm_up_s:
        for chart in axes:
            chart.axvspan(0, warm_up_s, color="#eeeeee", zorder=0)


def _adapters(axes: Sequence[Any], measured: MeasuredRun) -> None:
    [chart] = axes
    shown = [one for one in measured.summary.adapters if one.latency_s is not None][:_SHOWN_ADAPTERS]
    positions = np.arange(len(shown))
    for name, colour, offset in (("p50", _BLUE, -0.2), ("p95", _ORANGE, 0.2)):
        heights = [getattr(one.latency_s, name) for one in shown]
        chart.bar(positions + offset, heights, 0.4, color=colour, label=name)
    labels = ["(base)" if one.name is None else one.name for one in shown]
    chart.set_xticks(positions, labels, rotation=90 if len(shown) > 12 else 0, fontsize=7)
    chart.set_ylabel("latency from due, s")
    chart.set_title("Latency by adapter, the most requested one first (measured)")
    chart.legend(frameon=False, loc="upper right")


def _sweep(axes: Sequence[Any], runs: Sequence[tuple[float | None, MeasuredRun]]) -> None:
    goodput, latency = axes
    rates = [rate or 0 for rate, _ in runs]
    goodput.plot(rates, [measured.summary.goodput * 100 for _, measured in runs], "o-", color=_BLUE)
    goodput.axhline(90, color=_GREY, lw=1, ls="--")
    goodput.set_ylabel("goodput, %")
    goodput.set_ylim(0, 105)
    goodput.set_title("Sweep (measured)")
    for name, colour in (("p50", _BLUE), ("p95", _ORANGE), ("p99", _RED)):
        points = [
            (rate or 0, getattr(measured.summary.latency_s, name))
            for rate, measured in runs
            if measured.summary.latency_s is not None
        ]
        latency.plot([rate for rate, _ in points], [s for _, s in points], "o-", color=colour, label=name)
    latency.set_xlabel("requests due per second")
    latency.set_ylabel("latency from due, s")
    latency.set_ylim(bottom=0)
    latency.legend(frameon=False, loc="upper left")
