"""Health of the load generator: a run whose generator was late or too busy is invalid."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loraserve.load.result import LoadOutcome, RequestResult

#: Limits of a valid run, a choice: latencies of engines are tens of milliseconds and more, and a process that
#: computes for more than 90 % of the time measures its own queue.
MAX_LAG_P99_S = 0.005
MAX_CPU_SHARE = 0.9


@dataclass(frozen=True, kw_only=True)
class Health:
    """Measured figures of the generator, without the warm-up."""

    lag_p50_s: float | None
    """Seconds from due to sent, of an open run; None for a closed one, which has no schedule."""
    lag_p99_s: float | None
    lag_max_s: float | None
    asked_rate: float | None
    """Requests a second that were due, and that were sent; None for a closed run, or below two requests."""
    reached_rate: float | None
    cpu_share: float
    """Processor time ÷ elapsed time, at least a second, of the generator's busiest process, 0 to 1."""
    gc_off: bool
    """True if no process collected garbage during the run."""
    withheld: int
    """Requests that were due and not sent, because `max_in_flight` were in flight."""

    @property
    def invalid_because(self) -> tuple[str, ...]:
        """Sentences, each with a remedy; empty for a valid run."""
        found = []
        if self.lag_p99_s is not None and self.lag_p99_s > MAX_LAG_P99_S:
            found.append(
                f"the generator sent late: p99 of its lag is {self.lag_p99_s * 1e3:.1f} ms, the limit is "
                f"{MAX_LAG_P99_S * 1e3:.0f} ms; lower the rate, raise --cores, or stop what else runs here"
            )
        if self.cpu_share > MAX_CPU_SHARE:
            found.append(
                f"the generator computed for {self.cpu_share:.0%} of the time, the limit is "
                f"{MAX_CPU_SHARE:.0%}; lower the rate, or raise --cores"
            )
        if self.withheld:
            found.append(
                f"{self.withheld} requests were withheld, because --max-in-flight were in flight: the load "
                "was lower than asked; raise --max-in-flight, or lower the rate"
            )
        return tuple(found)

    @property
    def valid(self) -> bool:
        """True if the run's figures are those of the endpoint."""
        return not self.invalid_because


def health_of(
    results: Sequence[RequestResult], *, open_loop: bool, warm_up_s: float, cpu_share: float, gc_off: bool
) -> Health:
    """Compute the health of a run from its results and its processes' figures."""
    due, sent = array("d"), array("d")
    for result in results:
        if result.due_s >= warm_up_s:
            due.append(result.due_s)
            sent.append(math.nan if result.outcome is LoadOutcome.WITHHELD else result.sent_s)
    due_s, sent_s = np.array(due), np.array(sent)
    was_sent = ~np.isnan(sent_s)
    lags = (sent_s - due_s)[was_sent] if open_loop else np.empty(0)
    p50, p99, largest = np.quantile(lags, [0.5, 0.99, 1.0]).tolist() if len(lags) else (None, None, None)
    return Health(
        lag_p50_s=p50,
        lag_p99_s=p99,
        lag_max_s=largest,
        asked_rate=_rate(due_s) if open_loop else None,
        reached_rate=_rate(sent_s[was_sent]) if open_loop else None,
        cpu_share=cpu_share,
        gc_off=gc_off,
        withheld=int(np.count_nonzero(~was_sent)),
    )


def _rate(instants: NDArray[np.float64]) -> float | None:
    """Return events a second, from the first one to the last one."""
    if len(instants) < 2 or (seconds := float(np.ptp(instants))) == 0:
        return None
    return (len(instants) - 1) / seconds
