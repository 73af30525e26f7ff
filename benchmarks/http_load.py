"""Load of the benchmarks: the load test's generator, by plain HTTP to a gateway or an engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkFailed
from benchmarks.null_engine import STAMP_DIGITS
from loraserve.load.job import LoadJob, LoadRun, Target
from loraserve.load.processes import run
from loraserve.load.result import LoadOutcome
from loraserve.workload.workload import BASE, Workload

#: Time between the starts of two streams: tokens of different clients do not arrive at the same instant.
_STAGGER_SECONDS = 0.0013


@dataclass(frozen=True)
class HttpRequest:
    """A request, and the text of its correct answer."""

    body: dict[str, Any]
    expect: str | None = None
    """None: any text."""


def closed_loop(port: int, path: str, requests: Sequence[HttpRequest], count: int, clients: int) -> LoadRun:
    """Send `count` requests, in this order and again from the first one on, as fast as they are answered.

    Raises:
        BenchmarkFailed: an answer is an error or has another text.
    """
    return _send(port, path, requests, np.zeros(count), clients)


def open_loop(port: int, path: str, requests: Sequence[HttpRequest], rate: float, count: int) -> LoadRun:
    """Send `count` requests at a constant rate per second; raises BenchmarkFailed as `closed_loop` does."""
    return _send(port, path, requests, np.arange(count, dtype=np.float64) / rate)


def streams(port: int, path: str, requests: Sequence[HttpRequest], count: int) -> LoadRun:
    """Start `count` streams one shortly after the other; raises BenchmarkFailed as `closed_loop` does."""
    return _send(port, path, requests, np.arange(count, dtype=np.float64) * _STAGGER_SECONDS)


def event_delays(found: LoadRun, events: int) -> NDArray[np.float64]:
    """Return the seconds from the null engine to the generator of each event of the streams.

    The text of an event is the time at which the null engine wrote it.

    Raises:
        BenchmarkFailed: a stream does not have that many events.
    """
    delays = []
    for result in found.results:
        text = result.text or ""
        written = [int(text[at : at + STAMP_DIGITS]) for at in range(0, len(text), STAMP_DIGITS)]
        if result.first_token_s is None or not len(written) == len(result.token_gaps_s) + 1 == events:
            raise BenchmarkFailed(f"{len(written)} of {events} events of a stream arrived")
        arrived = result.first_token_s + np.concatenate(([0.0], np.cumsum(result.token_gaps_s, dtype=float)))
        delays.append(arrived - (np.array(written) - found.began_ns) / 1e9)
    return np.concatenate(delays)


def rps(found: LoadRun) -> float:
    """Return the requests per second from the first one sent to the last answer."""
    return len(found.results) / (found.duration_s - min(result.sent_s for result in found.results))


def _send(
    port: int,
    path: str,
    requests: Sequence[HttpRequest],
    due_s: NDArray[np.float64],
    clients: int | None = None,
) -> LoadRun:
    count = len(due_s)
    bodies = [json.dumps(request.body).encode() for request in requests]
    job = LoadJob(
        target=Target(url=f"http://127.0.0.1:{port}{path}"),
        workload=Workload(
            due_s=due_s,
            adapter=np.full(count, BASE, np.int32),
            input_tokens=np.zeros(count, np.int32),
            output_tokens=np.zeros(count, np.int32),
        ),
        bodies=[bodies[index % len(bodies)] for index in range(count)],
        mode="open" if clients is None else "closed",
        clients=clients or 1,
    )
    found = run(job, lambda _: None)
    for result in found.results:
        expected = requests[result.index % len(requests)].expect
        if result.outcome is not LoadOutcome.OK or (expected is not None and result.text != expected):
            answer = result.message or result.text
            raise BenchmarkFailed(f"request {result.index}: {result.outcome.value}, {str(answer)[:300]!r}")
    if len(found.results) != count:
        raise BenchmarkFailed(f"{len(found.results)} of {count} requests were answered")
    return found
