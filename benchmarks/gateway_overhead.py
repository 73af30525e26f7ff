"""Overhead of the gateway: requests per second of one core, latency added to a request and to an event.

Compares the gateway in front of the null engine with the null engine asked directly. It is the part
`overhead` of `python -m benchmarks.gateway`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import null_engine
from benchmarks.container_process import ContainerProcess, run_container
from benchmarks.cores import reserve_core
from benchmarks.http_load import HttpRequest, closed_loop, event_delays, open_loop, rps, streams
from benchmarks.publishing import publish
from benchmarks.summary import medians
from laptop_cloud.cloud import LaptopCloud
from loraserve.demo.scenarios import alternating
from samples.problems import SEED_PROBLEM, adapter_name
from samples.spec import BASE_NAME
from stacks.project import ROOT
from tests.harness.sample_adapters import sample_files
from tests.harness.store import Store

#: Requests go to the base model and to this many adapters, round robin.
ADAPTERS = 8
CLIENTS = 32
#: Requests per second of the open loop.
RATE = 300.0
STREAMS = 20
NEW_TOKENS = 64
GATEWAY, ENGINE = "gateway", "engine"
#: The gateway with streams in LoRAX's schema, whose events it translates; those of `GATEWAY` pass as bytes.
TRANSLATED = "translated"


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
        return self.rounds * 7


FULL = OverheadSize(rounds=5, closed=2000, open=900, events=60)
QUICK = OverheadSize(rounds=3, closed=1500, open=600, events=40)


@dataclass(frozen=True)
class OverheadTargets:
    """The two targets of the comparison, the gateway and the engine, which get the same requests."""

    container: ContainerProcess
    engine_ids: dict[str, str]

    def requests(
        self, side: str, *, stream: bool = False, tokens: int = NEW_TOKENS
    ) -> tuple[int, str, list[HttpRequest]]:
        """Return port and path of the gateway or of the engine, and its requests."""
        names = [None, *self.engine_ids]
        if side != ENGINE:
            # Streams are in the engine's schema, or in LoRAX's to be translated.
            request = self._passed if side == GATEWAY and stream else self._to_gateway
            return self.container.port, "/invocations", [request(name, tokens, stream) for name in names]
        requests = [self._to_engine(name, tokens, stream) for name in names]
        return self.container.engine_port, "/v1/completions", requests

    def _to_gateway(self, name: str | None, tokens: int, stream: bool) -> HttpRequest:
        parameters = {"max_new_tokens": tokens} | ({} if name is None else {"adapter_id": name})
        body = {"inputs": SEED_PROBLEM.prompt, "parameters": parameters, "stream": stream}
        return HttpRequest(body, self._expect(name, stream))

    def _passed(self, name: str | None, tokens: int, stream: bool) -> HttpRequest:
        return self._completion(name or BASE_NAME, name, tokens, stream)

    def _to_engine(self, name: str | None, tokens: int, stream: bool) -> HttpRequest:
        return self._completion(BASE_NAME if name is None else self.engine_ids[name], name, tokens, stream)

    def _completion(self, model: str, name: str | None, tokens: int, stream: bool) -> HttpRequest:
        body = {"model": model, "prompt": SEED_PROBLEM.prompt, "max_tokens": tokens, "stream": stream}
        return HttpRequest(body, self._expect(name, stream))

    def _expect(self, name: str | None, stream: bool) -> str | None:
        """Return the text that a response must have: the null engine answers with the model's name.

        A stream has time stamps instead, which `event_delays` counts.
        """
        return None if stream else f"[{BASE_NAME if name is None else self.engine_ids[name]}]"


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
                closed_loop(*targets.requests(side), count=500, clients=CLIENTS)
            rounds = [_round(targets, size, number, advance) for number in range(size.rounds)]
    return {"rounds": rounds, "medians": medians(rounds)}


def _round(
    targets: OverheadTargets, size: OverheadSize, number: int, advance: Callable[[], None]
) -> dict[str, float]:
    """Measure each figure once."""
    figures: dict[str, float] = {}
    for side in alternating((ENGINE, GATEWAY), number):
        before = targets.container.cpu_seconds()
        closed = closed_loop(*targets.requests(side), count=size.closed, clients=CLIENTS)
        used = targets.container.cpu_seconds() - before
        figures[f"{side}_rps"] = rps(closed)
        if side == GATEWAY:
            figures["cpu_us"] = used / size.closed * 1e6
            figures["core_busy"] = used / closed.duration_s
        advance()
    for side in alternating((ENGINE, GATEWAY), number):
        opened = open_loop(*targets.requests(side), rate=RATE, count=size.open)
        latencies = [result.latency_s for result in opened.results]
        for percent in (50, 99):
            figures[f"{side}_p{percent}_ms"] = float(np.percentile(latencies, percent)) * 1e3
        advance()
    for side in alternating((ENGINE, GATEWAY, TRANSLATED), number):
        streamed = streams(*targets.requests(side, stream=True, tokens=size.events), count=STREAMS)
        delays = event_delays(streamed, size.events)
        for percent in (50, 99):
            figures[f"{side}_event_p{percent}_ms"] = float(np.percentile(delays, percent)) * 1e3
        advance()
    return figures
