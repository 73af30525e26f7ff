"""Pictures of a simulation: cost against misses, and the fleet over time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from loraserve.simulation.outcome import PolicyOutcome
from loraserve.simulation.policies import METRIC_WORDS
from loraserve.simulation.result import SimulationResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Points of the rate over time, at most.
_POINTS: Final = 500
_DPI: Final = 120
#: Policies of the front whose names fit beside their points; of more, the first and the last are named.
_NAMED: Final = 8


def write_plots(result: SimulationResult, arrivals: NDArray[np.float64], folder: Path) -> list[Path]:
    """Write `misses-cost.png` and `fleet.png`, and return their paths.

    Args:
        result: the simulation.
        arrivals: requests of each second.
        folder: created if it is missing.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow

    folder.mkdir(parents=True, exist_ok=True)
    cost = Figure(figsize=(8, 5), layout="constrained")
    _cost(result, cost.subplots())
    fleet = Figure(figsize=(9, 6), layout="constrained")
    above, below = fleet.subplots(2, 1, sharex=True)
    _rate(arrivals, above)
    above.set_title(result.trace)
    _sizes(result, below)
    written = []
    for name, figure in {"misses-cost": cost, "fleet": fleet}.items():
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=_DPI)
        written.append(path)
    return written


def _cost(result: SimulationResult, axes: Axes) -> None:
    for word, metric in METRIC_WORDS.items():
        shown = [outcome for outcome in result.outcomes if outcome.policy.metric == metric]
        if shown:
            axes.plot(*_points(shown), "o", label=word)
    best, taken = result.front, result.recommendation.outcome
    axes.plot(*_points(best), "-", color="grey", label="fewest misses for the cost")
    axes.plot(*_points([taken]), "s", mfc="none", ms=12, color="black", label="recommended")
    front = best if len(best) <= _NAMED else [best[0], best[-1]]
    for outcome in result.outcomes:
        if outcome in front or outcome is taken or outcome is result.default:
            [hours], [misses] = _points([outcome])
            # The metrics' names on either side: their points are close where both are among the best.
            side = (
                {"xytext": (7, 4)}
                if outcome.policy.metric == METRIC_WORDS["concurrent"]
                else {"xytext": (-7, 4), "ha": "right"}
            )
            axes.annotate(
                outcome.policy.name, (hours, misses), textcoords="offset points", fontsize=8, **side
            )
    axes.margins(x=0.2)
    axes.set_yscale("symlog", linthresh=0.01)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("instance-hours (computed)")
    axes.set_ylabel(f"requests above {result.scenario.slo_s:.4g} s, % (computed)")
    axes.set_title(result.trace)
    axes.legend(loc="upper right")


def _points(outcomes: list[PolicyOutcome]) -> tuple[list[float], list[float]]:
    """Return instance-hours and misses in percent."""
    return [each.instance_hours for each in outcomes], [100 * each.misses for each in outcomes]


def _rate(arrivals: NDArray[np.float64], axes: Axes) -> None:
    width = max(1, 60 * round(len(arrivals) / _POINTS / 60))
    means = arrivals[: len(arrivals) // width * width].reshape(-1, width).mean(axis=1)
    axes.plot((np.arange(len(means)) + 0.5) * width / 3600, means, color="grey")
    axes.set_ylabel(f"requests per second\n(mean of {width} s)")
    axes.set_ylim(bottom=0)


def _sizes(result: SimulationResult, axes: Axes) -> None:
    for outcome in (result.default, result.recommendation.outcome):
        if outcome is not None:
            hours = [size.at_s / 3600 for size in outcome.sizes] + [result.scenario.duration_s / 3600]
            serving = [size.serving for size in outcome.sizes]
            axes.step(hours, [*serving, serving[-1]], where="post", label=outcome.policy.name)
    axes.set_ylabel("instances that serve (computed)")
    axes.set_xlabel("hours")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right")
