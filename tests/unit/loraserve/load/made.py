"""Results of a load test, made by hand."""

from array import array
from collections.abc import Sequence

import numpy as np

from loraserve.load.health import Health
from loraserve.load.job import LoadRun
from loraserve.load.result import LoadOutcome, RequestResult
from loraserve.workload.workload import BASE, Workload

HEALTHY = Health(
    lag_p50_s=0.0001, lag_p99_s=0.001, lag_max_s=0.002, asked_rate=10.0, reached_rate=10.0, cpu_share=0.2,
    gc_off=True, withheld=0,
)  # fmt: skip


def workload(asked: Sequence[str | None], *, rate: float = 1.0, output_tokens: int = 4) -> Workload:
    """Requests at a constant rate, for these adapters."""
    names = tuple(dict.fromkeys(name for name in asked if name is not None))
    count = len(asked)
    return Workload(
        due_s=np.arange(count) / rate,
        adapter=np.array([BASE if name is None else names.index(name) for name in asked], dtype=np.int32),
        input_tokens=np.full(count, 5, dtype=np.int32),
        output_tokens=np.full(count, output_tokens, dtype=np.int32),
        adapters=names,
    )


def result(
    index: int,
    *,
    due_s: float | None = None,
    latency_s: float = 1.0,
    lag_s: float = 0.0,
    by: str | None = None,
    text: str = "",
    outcome: LoadOutcome = LoadOutcome.OK,
    gaps_s: Sequence[float] = (),
) -> RequestResult:
    """A request that was due at its index, unless another time is given; with gaps, its answer streamed."""
    due = float(index) if due_s is None else due_s
    return RequestResult(
        index=index,
        due_s=due,
        sent_s=due + lag_s,
        first_token_s=due + latency_s - sum(gaps_s) if gaps_s else None,
        ended_s=due + latency_s,
        token_gaps_s=array("f", gaps_s),
        output_tokens=len(gaps_s) + 1,
        outcome=outcome,
        message=None if outcome is LoadOutcome.OK else "it failed",
        answered_by=by,
        text=text,
    )


def run(results: list[RequestResult], health: Health = HEALTHY, *, interrupted: bool = False) -> LoadRun:
    """A run with these results."""
    end = max((one.ended_s for one in results), default=0.0)
    return LoadRun(results=results, health=health, began_ns=0, duration_s=end, interrupted=interrupted)
