"""Load test benchmark: speed, punctuality, exactness and memory of the load test's generator.

    python -m benchmarks.load_test [--quick] [--only PART] [--json]     (also part of make bench)

The null endpoint answers on one core, the generator sends from the others. Parts and their targets:

speed       signed requests per second of one generator, at least 600; the processor time of a request, at
            most a fifth of boto3's with 20 threads (the null endpoint's core is busy before the generator's);
            events of streams per second, at least 3,000;
punctual    100 requests per second for a minute: lag between due and sent, p99 at most 5 ms, the longest at
            most 25 ms; the reached rate within 1% of the asked one;
stall       the endpoint stops for a second, at 50 requests per second: the open loop shows at least 45 waits
            of 0.1 s or more and a p99 of at least 0.9 s; the closed loop at most 20;
delays      a first token after 200 ms, the others every 20 ms: time to first token and time between tokens as
            the endpoint's clock has them, p50 within 2 ms, p99 within 10 ms;
memory      100,000 requests in at most 150 MB, calling process and generator each.

Duration: about five minutes on two cores. Output: out/load_test.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.cores import reserve_core
from benchmarks.errors import BenchmarkFailed
from benchmarks.null_endpoint import null_endpoint
from benchmarks.null_load import CLIENTS, PROMPT, adapter_of, measured, null_job, runtime_client
from loraserve.client import EndpointClient
from loraserve.progress import step
from stacks.project import ROOT


@dataclass(frozen=True)
class LoadTestSize:
    """Number of requests, streams and seconds of the parts."""

    requests: int
    thread_requests: int
    streams: int
    seconds: int
    delayed: int
    memory: int


FULL = LoadTestSize(
    requests=10_000, thread_requests=2000, streams=400, seconds=60, delayed=300, memory=100_000
)
QUICK = LoadTestSize(requests=2000, thread_requests=500, streams=100, seconds=5, delayed=50, memory=10_000)


@dataclass(frozen=True)
class TargetFigure:
    """A figure and its limit."""

    what: str
    value: float
    unit: str
    limit: float
    kind: Literal["at least", "at most"]

    @property
    def met(self) -> bool:
        """True if the figure is on the right side of the limit."""
        return self.value >= self.limit if self.kind == "at least" else self.value <= self.limit


class LoadTestPart(Enum):
    """A part of the benchmark, which `--only` selects."""

    SPEED = "speed"
    PUNCTUAL = "punctual"
    STALL = "stall"
    DELAYS = "delays"
    MEMORY = "memory"


def speed(size: LoadTestSize, core: int) -> list[TargetFigure]:
    """Measure requests and events per second."""
    with null_endpoint(core=core) as url:
        many = measured(null_job(url, np.zeros(size.requests), tokens=64, clients=CLIENTS))
        threads_per_s, threads_us = _thread_client(url, size.thread_requests)
        streams = measured(null_job(url, np.zeros(size.streams), tokens=100, clients=CLIENTS, stream=True))
    events = sum(1 + len(result.token_gaps_s) for result in streams.results) / streams.duration_s
    per_s = size.requests / many.duration_s
    own_us = many.health.cpu_share * many.duration_s / size.requests * 1e6
    return [
        TargetFigure(f"signed requests (boto3: {threads_per_s:.0f})", per_s, "/s", 600, "at least"),
        TargetFigure(
            f"processor time of a request, boto3 {threads_us:.0f} µs ÷ generator {own_us:.0f} µs",
            threads_us / own_us,
            "×",
            5,
            "at least",
        ),
        TargetFigure("events of streams", events, "/s", 3000, "at least"),
    ]


def punctual(size: LoadTestSize, core: int) -> list[TargetFigure]:
    """Measure the lag between due and sent."""
    with null_endpoint(core=core) as url:
        found = measured(null_job(url, np.arange(100 * size.seconds) / 100, tokens=64)).health
    assert found.lag_p99_s is not None and found.lag_max_s is not None  # open loop
    assert found.reached_rate is not None and found.asked_rate is not None
    return [
        TargetFigure("lag at 100/s, p99", found.lag_p99_s * 1e3, "ms", 5, "at most"),
        TargetFigure("lag at 100/s, longest", found.lag_max_s * 1e3, "ms", 25, "at most"),
        TargetFigure(
            "reached rate off the asked one",
            abs(found.reached_rate / found.asked_rate - 1) * 100,
            "%",
            1,
            "at most",
        ),
    ]


def stall(size: LoadTestSize, core: int) -> list[TargetFigure]:
    """Count the waits that a stall of a second makes, in the open and in the closed loop."""
    count = 50 * min(10, size.seconds)
    options = ("--first-token-s", "0.02", "--stall-at-request", str(count // 2))
    waits = []
    latencies: list[NDArray[np.float64]] = []
    # In the closed loop, one client asks 50 times a second: an answer takes 20 ms.
    for clients in (None, 1):
        with null_endpoint(*options, core=core) as url:
            due_s = np.arange(count) / 50 if clients is None else np.zeros(count)
            results = measured(null_job(url, due_s, tokens=1, clients=clients)).results
        latencies.append(np.array([result.latency_s for result in results]))
        waits.append(float((latencies[-1] >= 0.1).sum()))
    return [
        TargetFigure("open loop, waits of 0.1 s or more", waits[0], "", 45, "at least"),
        TargetFigure("open loop, p99", float(np.percentile(latencies[0], 99)), "s", 0.9, "at least"),
        TargetFigure("closed loop, waits of 0.1 s or more", waits[1], "", 20, "at most"),
    ]


def delays(size: LoadTestSize, core: int) -> list[TargetFigure]:
    """Compare the times of tokens with the endpoint's clock."""
    with null_endpoint("--first-token-s", "0.2", "--token-s", "0.02", core=core) as url:
        found = measured(null_job(url, np.arange(size.delayed) / 10, tokens=33, stream=True))
    first: list[tuple[float, float]] = []
    gaps: list[tuple[float, float]] = []
    for result in found.results:
        # The last token names the adapter instead of the time.
        written = [(int(token) - found.began_ns) / 1e9 for token in (result.text or "").split()[:-1]]
        assert result.first_token_s is not None  # a successful stream has one
        first.append((result.first_token_s - result.sent_s, written[0] - result.sent_s))
        gaps += zip(result.token_gaps_s, np.diff(written), strict=False)
    return [
        TargetFigure(
            f"{what}, {name} off the endpoint's clock", _difference(pairs, percent), "ms", limit, "at most"
        )
        for what, pairs in (("time to first token", first), ("time between tokens", gaps))
        for name, percent, limit in (("p50", 50, 2), ("p99", 99, 10))
    ]


def memory(size: LoadTestSize, core: int) -> list[TargetFigure]:
    """Measure the memory of a run, in a process that imports nothing else."""
    with null_endpoint(core=core) as url:
        command = [sys.executable, "-m", "benchmarks.null_load", url, str(size.memory)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkFailed(f"the run failed: {done.stderr[-500:]}")
    own, generator = json.loads(done.stdout)
    return [
        TargetFigure(f"{size.memory:,} requests: memory of the generator", generator, "MB", 150, "at most"),
        TargetFigure(f"{size.memory:,} requests: memory of the caller", own, "MB", 150, "at most"),
    ]


PARTS: dict[LoadTestPart, Callable[[LoadTestSize, int], list[TargetFigure]]] = {
    LoadTestPart.SPEED: speed,
    LoadTestPart.PUNCTUAL: punctual,
    LoadTestPart.STALL: stall,
    LoadTestPart.DELAYS: delays,
    LoadTestPart.MEMORY: memory,
}


def _thread_client(url: str, count: int) -> tuple[float, float]:
    """Return requests per second, and µs of processor time a request, of boto3 with a thread a client."""
    client = EndpointClient("null", runtime_client(url))

    def ask(number: int) -> None:
        client.generate(PROMPT, adapter=adapter_of(number), max_new_tokens=64)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, range(CLIENTS)))  # connections, and what boto3 loads at the first call
        began, used = time.perf_counter(), time.process_time()
        list(pool.map(ask, range(count)))
        return count / (time.perf_counter() - began), (time.process_time() - used) / count * 1e6


def _difference(pairs: Sequence[tuple[float, float]], percent: float) -> float:
    """Return the milliseconds between the percentiles of the generator's times and of the endpoint's."""
    ours, theirs = np.percentile(np.array(pairs), percent, axis=0)
    return float(abs(ours - theirs) * 1e3)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Shorter measurements.")] = False,
    only: Annotated[
        list[LoadTestPart] | None, typer.Option("--only", help="Measure only this part; can be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print only one JSON document.")] = False,
) -> None:
    """Measure the load test's generator; print the figures with their targets and write them to out/."""
    console = Console(stderr=as_json)
    size = QUICK if quick else FULL
    found: dict[str, list[TargetFigure]] = {}
    try:
        with reserve_core() as cores:
            for part in only or list(LoadTestPart):
                with step(console, part.value):
                    found[part.value] = PARTS[part](size, min(cores))
    except BenchmarkFailed as error:
        Console(stderr=True, soft_wrap=True).print(f"[red]✗[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    table = Table(
        "", "measured", "target", title=f"The load test's generator, Python {sys.version.split()[0]}"
    )
    for target in (target for targets in found.values() for target in targets):
        mark = "✓" if target.met else "✗"
        table.add_row(
            target.what, f"{target.value:,.2f} {target.unit}", f"{target.kind} {target.limit:g} {mark}"
        )
    console.print(table)
    parts = {
        name: [asdict(target) | {"met": target.met} for target in targets] for name, targets in found.items()
    }
    document = json.dumps({"cores": os.cpu_count(), "quick": quick, "parts": parts}, indent=1) + "\n"
    out = Path(ROOT) / "out"
    out.mkdir(exist_ok=True)
    (out / "load_test.json").write_text(document)
    if as_json:
        print(document, end="")


if __name__ == "__main__":
    typer.run(main)
