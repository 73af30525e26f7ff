"""Overhead of the gateway: requests per second of one core, latency added to a request and to an event.

Compares the gateway in front of the null engine with the null engine asked directly. It is the part
`overhead` of `python -m benchmarks.gateway`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import null_engine
from benchmarks.container_process import ContainerProcess, run_container
from benchmarks.errors import BenchmarkFailed
from benchmarks.load_generator import LoadJob, LoadRequest, LoadResult, send
from benchmarks.publishing import publish
from benchmarks.summary import medians, percentile
from benchmarks.workload import alternating, arrivals
from laptop_cloud.cloud import LaptopCloud
from samples.problems import SEED_PROBLEM, adapter_name
from samples.spec import BASE_NAME
from stacks.project import ROOT
from tests.harness.sample_adapters import sample_files
from tests.harness.store import Store

#: Requests go to the base model and to this many adapters, round robin.
ADAPTERS = 8
CLIENTS = 32
#: Requests per second of the open loop, and its connections: far more than are ever in use.
RATE = 300.0
CONNECTIONS = 64
STREAMS = 20
NEW_TOKENS = 64
GATEWAY, ENGINE = "gateway", "engine"


@dataclass(frozen=True)
class OverheadSize:
    """Number of rounds, requests of the closed and the open loop in a round, and events of a stream."""

    rounds: int
    closed: int
    open: int
    events: int

    @property
    def steps(self) -> int:
        """Number of measurements."""
        return self.rounds * 6


FULL = OverheadSize(rounds=5, closed=2000, open=900, events=60)
QUICK = OverheadSize(rounds=3, closed=1500, open=600, events=40)


@dataclass(frozen=True)
class OverheadTargets:
    """The two targets of the comparison, the gateway and the engine, which get the same requests."""

    container: ContainerProcess
    engine_ids: dict[str, str]

    def job(self, side: str, kind: Any, *, stream: bool = False, **more: Any) -> LoadJob:
        """Return a load job for the gateway or for the engine."""
        names = [None, *self.engine_ids]
        if side == GATEWAY:
            port, make = self.container.port, self._to_gateway
        else:
            port, make = self.container.engine_port, self._to_engine
        tokens = more.pop("tokens", NEW_TOKENS)
        return LoadJob(kind, port, [make(name, tokens, stream) for name in names], **more)

    def _to_gateway(self, name: str | None, tokens: int, stream: bool) -> LoadRequest:
        parameters = {"max_new_tokens": tokens} | ({} if name is None else {"adapter_id": name})
        body = {"inputs": SEED_PROBLEM.prompt, "parameters": parameters, "stream": stream}
        return LoadRequest("/invocations", body, self._expect(name, stream))

    def _to_engine(self, name: str | None, tokens: int, stream: bool) -> LoadRequest:
        model = BASE_NAME if name is None else self.engine_ids[name]
        body = {"model": model, "prompt": SEED_PROBLEM.prompt, "max_tokens": tokens, "stream": stream}
        return LoadRequest("/v1/completions", body, self._expect(name, stream))

    def _expect(self, name: str | None, stream: bool) -> str:
        """Return the text that a response must have: the null engine answers with the model's name.

        A stream has time stamps instead, which `_round` counts.
        """
        if stream:
            return ""
        return f"[{BASE_NAME if name is None else self.engine_ids[name]}]"


@contextlib.contextmanager
def reserve_core() -> Iterator[set[int]]:
    """Pin this process and its future children to all cores but one; yield the reserved core."""
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        raise BenchmarkFailed("two cores are needed, one of them for the gateway alone")
    first = {min(cores)}
    os.sched_setaffinity(0, cores - first)
    try:
        yield first
    finally:
        os.sched_setaffinity(0, cores)


def measure(size: OverheadSize, advance: Callable[[], None]) -> dict[str, Any]:
    """Measure all rounds; call `advance` after each of the `size.steps` measurements."""
    with (
        reserve_core() as core,
        tempfile.TemporaryDirectory(prefix="null-") as name,
        LaptopCloud() as cloud,
    ):
        folder = Path(name)
        null_engine.install_as_vllm(folder / "path")
        store = Store(cloud.client("s3"))
        names = [adapter_name(number) for number in range(ADAPTERS)]
        publish(store, {name: sample_files(name) for name in names})
        settings = {
            "PYTHONPATH": f"{folder / 'path'}:{ROOT}",
            "HF_MODEL_ID": BASE_NAME,
            "ADAPTER_BUCKET": store.bucket,
        }
        with run_container(cloud, folder, settings) as running:
            running.pin(core)
            targets = OverheadTargets(running, {name: store.entry(name).prefix for name in names})
            for side in (GATEWAY, ENGINE):
                _send(targets.job(side, "closed", count=500, clients=CLIENTS))
            rounds = [_round(targets, size, number, advance) for number in range(size.rounds)]
    return {"rounds": rounds, "medians": medians(rounds)}


def _round(
    targets: OverheadTargets, size: OverheadSize, number: int, advance: Callable[[], None]
) -> dict[str, float]:
    """Measure each figure once."""
    figures: dict[str, float] = {}
    for side in alternating((ENGINE, GATEWAY), number):
        before = targets.container.cpu_seconds()
        closed = _send(targets.job(side, "closed", count=size.closed, clients=CLIENTS))
        used = targets.container.cpu_seconds() - before
        figures[f"{side}_rps"] = closed.rps
        if side == GATEWAY:
            figures["cpu_us"] = used / size.closed * 1e6
            figures["core_busy"] = used / closed.seconds
        advance()
    for side in alternating((ENGINE, GATEWAY), number):
        due = arrivals(RATE, size.open)
        opened = _send(targets.job(side, "open", count=size.open, clients=CONNECTIONS, due=due))
        for percent in (50, 99):
            figures[f"{side}_p{percent}_ms"] = percentile(opened.latencies, percent) * 1e3
        advance()
    for side in alternating((ENGINE, GATEWAY), number):
        streamed = _send(
            targets.job(side, "stream", stream=True, tokens=size.events, count=STREAMS, clients=STREAMS)
        )
        if len(streamed.delays) != STREAMS * size.events:
            raise BenchmarkFailed(f"{len(streamed.delays)} of {STREAMS * size.events} events arrived: {side}")
        for percent in (50, 99):
            figures[f"{side}_event_p{percent}_ms"] = percentile(streamed.delays, percent) * 1e3
        advance()
    return figures


def _send(job: LoadJob) -> LoadResult:
    """Send the load; raise BenchmarkFailed if any response is wrong."""
    result = send(job)
    if result.errors:
        raise BenchmarkFailed(f"{result.errors} of {job.count} requests failed: {result.first_error}")
    return result
