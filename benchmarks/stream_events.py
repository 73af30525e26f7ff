"""Stream benchmark: processor time and delay that the gateway adds to an event of a stream.

    python -m benchmarks.stream_events [--quick] [--json]     (also part of make bench)

Two kinds of request for the same events, in front of a null engine with vLLM's API:

passed      OpenAI's text completions, the engine's own schema: events pass as bytes;
translated  LoRAX's schema: each event is parsed, translated and encoded.

Beside them a relay that only copies bytes (`benchmarks.tcp_relay`), the floor for any process in this place.

Each at two rates, alternating:

paced       64 streams of 50 events a second: events arrive one at a time;
saturated   32 streams, as fast as the gateway takes them, on one core.

Processor time is that of the gateway's process ÷ the events; other programs on the machine add little to it.
The delay is from the engine's write to the client's read, compared with a client of the engine itself.

Duration: about two minutes on two cores. Output: out/stream_events.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.bare_gateway import module_process, serve_gateway
from benchmarks.cores import reserve_core
from benchmarks.errors import BenchmarkFailed
from benchmarks.http_load import HttpRequest, event_delays, streams
from benchmarks.summary import medians
from container.gateway.engine.connection import EnginePool
from laptop_cloud.ports import free_port
from loraserve.demo.scenarios import alternating
from samples.problems import SEED_PROBLEM
from samples.spec import BASE_NAME
from stacks.project import ROOT

PASSED, TRANSLATED, RELAYED, ENGINE = "passed", "translated", "relayed", "engine"
PACED_STREAMS, SATURATED_STREAMS = 64, 32
#: Targets: microseconds of processor time for an event, and milliseconds added at p50.
CPU_US, ADDED_MS = 25.0, 0.2


@dataclass(frozen=True)
class StreamSize:
    """Number of rounds, and events of each paced and each saturated stream."""

    rounds: int
    paced: int
    saturated: int


FULL = StreamSize(rounds=7, paced=200, saturated=1000)
QUICK = StreamSize(rounds=3, paced=100, saturated=500)


@dataclass(frozen=True)
class _Side:
    """A null engine with a gateway and with a relay in front of it, both on one core."""

    engine_port: int
    gateway_port: int
    relay_port: int
    gateway: psutil.Process
    relay: psutil.Process

    def measure(self, kind: str, count: int, events: int) -> dict[str, float]:
        """Read `count` streams; return the processor time for an event in between, and the events' delays."""
        port, path, body = self.gateway_port, "/invocations", _openai_body(events)
        between = self.relay if kind == RELAYED else self.gateway
        if kind == TRANSLATED:
            body = {"inputs": body["prompt"], "parameters": {"max_new_tokens": events}, "stream": True}
        if kind in (ENGINE, RELAYED):
            port, path = self.relay_port if kind == RELAYED else self.engine_port, "/v1/completions"
        used, began = _seconds(between), time.perf_counter()
        found = streams(port, path, [HttpRequest(body)], count)
        elapsed, used = time.perf_counter() - began, _seconds(between) - used
        delays = event_delays(found, events)
        return {
            "cpu_us": used / (count * events) * 1e6,
            "core_busy": used / elapsed,
            "p50_ms": float(np.percentile(delays, 50)) * 1e3,
            "p99_ms": float(np.percentile(delays, 99)) * 1e3,
        }


def measure(size: StreamSize) -> dict[str, Any]:
    """Measure all rounds; return their figures and the medians."""
    rounds: list[dict[str, float]] = []
    with reserve_core() as core, _side(0.02, core) as paced, _side(0.0, core) as saturated:
        for kind in (PASSED, TRANSLATED, RELAYED):
            paced.measure(kind, PACED_STREAMS, 20)
        for number in range(size.rounds):
            figures: dict[str, float] = {}
            for kind in alternating((PASSED, TRANSLATED, RELAYED, ENGINE), number):
                found = paced.measure(kind, PACED_STREAMS, size.paced)
                figures |= {f"paced_{kind}_{name}": value for name, value in found.items()}
            for kind in alternating((PASSED, TRANSLATED, RELAYED), number):
                found = saturated.measure(kind, SATURATED_STREAMS, size.saturated)
                figures |= {f"saturated_{kind}_{name}": value for name, value in found.items()}
            rounds.append(figures)
    return {"rounds": rounds, "medians": medians(rounds)}


@contextlib.contextmanager
def _side(event_seconds: float, core: set[int]) -> Iterator[_Side]:
    engine_port, port, relay_port = free_port(0), free_port(0), free_port(0)
    seconds = ("--event-seconds", str(event_seconds))
    relay = ("benchmarks.tcp_relay", str(relay_port), str(engine_port))
    with (
        module_process("benchmarks.null_engine", "--port", str(engine_port), *seconds, port=engine_port),
        module_process("benchmarks.stream_events", "serve", str(port), str(engine_port), port=port) as run,
        module_process(*relay, port=relay_port) as relaying,
    ):
        processes = psutil.Process(run.pid), psutil.Process(relaying.pid)
        for thread in (thread for process in processes for thread in process.threads()):
            os.sched_setaffinity(thread.id, core)
        yield _Side(engine_port, port, relay_port, *processes)


def _openai_body(events: int) -> dict[str, Any]:
    return {"model": BASE_NAME, "prompt": SEED_PROBLEM.prompt, "max_tokens": events, "stream": True}


def _seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def table(figures: dict[str, Any]) -> Table:
    """Make the table for the terminal."""
    found, rounds = figures["medians"], figures["rounds"]
    kinds = (PASSED, TRANSLATED, RELAYED)
    result = Table("", *kinds, "target")

    def spread(name: str) -> str:
        each = sorted(one[name] for one in rounds)
        return f"{found[name]:.1f} ({each[0]:.1f} to {each[-1]:.1f})"

    for rate in ("paced", "saturated"):
        cells = (spread(f"{rate}_{kind}_cpu_us") for kind in kinds)
        result.add_row(f"processor time of an event, µs, {rate}", *cells, f"≤ {CPU_US:g} (passed)")
    for percent, target in ((50, f"≤ {ADDED_MS:g} (passed)"), (99, "")):
        cells = (
            f"{found[f'paced_{kind}_p{percent}_ms'] - found[f'paced_{ENGINE}_p{percent}_ms']:+.2f}"
            for kind in kinds
        )
        result.add_row(f"added to an event at p{percent}, ms, paced", *cells, target)
    return result


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer and shorter rounds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure both kinds at both rates; print the table and write the figures to out/."""
    try:
        figures = measure(QUICK if quick else FULL)
    except BenchmarkFailed as error:
        print(f"✗ {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    document = json.dumps({"quick": quick, **figures}, indent=1) + "\n"
    (out / "stream_events.json").write_text(document)
    Console(stderr=as_json).print(table(figures))
    if as_json:
        print(document, end="")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(serve_gateway(EnginePool("127.0.0.1", int(sys.argv[3])), int(sys.argv[2])))
    else:
        typer.run(main)
