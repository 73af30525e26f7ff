"""What the gateway adds to a request, in front of an engine that takes no time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import null_engine
from benchmarks.arithmetic import arrivals, in_turn, medians, percentile
from benchmarks.failure import BenchmarkFailed
from benchmarks.load import Job, Request, Result, send
from benchmarks.serving import Container, container, cores_apart, publish
from laptop_cloud.cloud import LaptopCloud
from samples.problems import SEED_PROBLEM, adapter_name
from samples.spec import BASE_NAME
from stacks.project import ROOT
from tests.harness.sample_adapters import sample_files
from tests.harness.store import Store

#: The adapters that are asked for in turn, with the base model.
ADAPTERS = 8
CLIENTS = 32
#: Requests a second of the open loop, and connections for it: far more than are ever under way.
RATE = 300.0
CONNECTIONS = 64
STREAMS = 20
NEW_TOKENS = 64
GATEWAY, ENGINE = "gateway", "engine"


@dataclass(frozen=True)
class Size:
    """How much is sent in a round."""

    rounds: int
    closed: int
    open: int
    events: int

    @property
    def steps(self) -> int:
        """Measurements."""
        return self.rounds * 6


FULL = Size(rounds=5, closed=2000, open=900, events=60)
QUICK = Size(rounds=3, closed=1500, open=600, events=40)


@dataclass(frozen=True)
class Sides:
    """The same requests for either side."""

    container: Container
    engine_ids: dict[str, str]

    def job(self, side: str, kind: Any, *, stream: bool = False, **more: Any) -> Job:
        """A job for the gateway, or for the engine itself."""
        names = [None, *self.engine_ids]
        if side == GATEWAY:
            port, make = self.container.port, self._to_gateway
        else:
            port, make = self.container.engine_port, self._to_engine
        tokens = more.pop("tokens", NEW_TOKENS)
        return Job(kind, port, [make(name, tokens, stream) for name in names], **more)

    def _to_gateway(self, name: str | None, tokens: int, stream: bool) -> Request:
        parameters = {"max_new_tokens": tokens} | ({} if name is None else {"adapter_id": name})
        body = {"inputs": SEED_PROBLEM.prompt, "parameters": parameters, "stream": stream}
        return Request("/invocations", body, self._expect(name, stream))

    def _to_engine(self, name: str | None, tokens: int, stream: bool) -> Request:
        model = BASE_NAME if name is None else self.engine_ids[name]
        body = {"model": model, "prompt": SEED_PROBLEM.prompt, "max_tokens": tokens, "stream": stream}
        return Request("/v1/completions", body, self._expect(name, stream))

    def _expect(self, name: str | None, stream: bool) -> str:
        """The null engine's text is the model that was asked for; a stream's is the time."""
        if stream:
            return ""
        return f"[{BASE_NAME if name is None else self.engine_ids[name]}]"


def measure(size: Size, advance: Callable[[], None]) -> dict[str, Any]:
    """All rounds; `advance` is called `size.steps` times."""
    with (
        cores_apart() as core,
        tempfile.TemporaryDirectory(prefix="null-") as name,
        LaptopCloud() as cloud,
    ):
        folder = Path(name)
        null_engine.stand_in(folder / "path")
        store = Store(cloud.client("s3"))
        names = [adapter_name(house) for house in range(ADAPTERS)]
        publish(store, {name: sample_files(name) for name in names})
        settings = {
            "PYTHONPATH": f"{folder / 'path'}:{ROOT}",
            "HF_MODEL_ID": BASE_NAME,
            "ADAPTER_BUCKET": store.bucket,
        }
        with container(cloud, folder, settings) as running:
            running.pin(core)
            sides = Sides(running, {name: store.entry(name).prefix for name in names})
            for side in (GATEWAY, ENGINE):
                _send(sides.job(side, "closed", count=500, clients=CLIENTS))
            rounds = [_round(sides, size, number, advance) for number in range(size.rounds)]
    return {"rounds": rounds, "medians": medians(rounds)}


def _round(sides: Sides, size: Size, number: int, advance: Callable[[], None]) -> dict[str, float]:
    """Every measurement once."""
    figures: dict[str, float] = {}
    for side in in_turn((ENGINE, GATEWAY), number):
        before = sides.container.cpu_seconds()
        closed = _send(sides.job(side, "closed", count=size.closed, clients=CLIENTS))
        used = sides.container.cpu_seconds() - before
        figures[f"{side}_rps"] = closed.rps
        if side == GATEWAY:
            figures["cpu_us"] = used / size.closed * 1e6
            figures["core_busy"] = used / closed.seconds
        advance()
    for side in in_turn((ENGINE, GATEWAY), number):
        due = arrivals(RATE, size.open)
        opened = _send(sides.job(side, "open", count=size.open, clients=CONNECTIONS, due=due))
        for percent in (50, 99):
            figures[f"{side}_p{percent}_ms"] = percentile(opened.latencies, percent) * 1e3
        advance()
    for side in in_turn((ENGINE, GATEWAY), number):
        streamed = _send(
            sides.job(side, "stream", stream=True, tokens=size.events, count=STREAMS, clients=STREAMS)
        )
        if len(streamed.delays) != STREAMS * size.events:
            raise BenchmarkFailed(f"{len(streamed.delays)} events of {STREAMS * size.events} came: {side}")
        for percent in (50, 99):
            figures[f"{side}_event_p{percent}_ms"] = percentile(streamed.delays, percent) * 1e3
        advance()
    return figures


def _send(job: Job) -> Result:
    """Send, and take no wrong answer."""
    result = send(job)
    if result.errors:
        raise BenchmarkFailed(f"{result.errors} of {job.count} requests went wrong: {result.first_error}")
    return result
