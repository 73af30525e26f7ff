"""Routing by adapter: adapter loads and latency of `adapter_affine` against `least_outstanding_requests`.

    python -m benchmarks.adapter_affinity     [--quick]     (also part of make bench)

Two endpoints of the laptop cloud, each with three null engines that have slots for a part of the adapters and
take time for a load (`benchmarks.null_batch`). The same requests go to each, in turns: 300 adapters by Zipf
1.0, Poisson arrivals, requests and signatures of the load test. Then an instance is lost in the middle of a
run, and the laptop cloud replaces it.

There is no gateway before the engines: it is the same on both sides, and it chooses neither the instance nor
the slot. An engine's step takes the same time for any number of requests, so an instance is slow by its
loads, or if more requests arrive than it has places.

Duration: about five minutes on two cores, with --quick two. Output: out/adapter-affinity.json.
Exit code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import numpy as np
from botocore.credentials import Credentials
from rich.console import Console
from rich.table import Table

from adapters.affinity import PREFIX_BYTES, adapter_first
from adapters.store.layout import ADAPTERS_PREFIX
from benchmarks.errors import BenchmarkFailed
from benchmarks.summary import medians
from laptop_cloud.api.account import DEFAULT_ACCOUNT
from laptop_cloud.cloud import LaptopCloud
from loraserve.load.job import LoadJob, LoadRun
from loraserve.load.processes import run
from loraserve.load.result import LoadOutcome
from loraserve.load.signing import endpoint_target
from loraserve.progress import step
from loraserve.workload.arrivals import Extent, parse_arrivals
from loraserve.workload.draw import draw_workload
from loraserve.workload.lengths import parse_lengths
from loraserve.workload.workload import Workload
from stacks.project import ROOT
from stacks.sizing.popularity import zipf

INSTANCES: Final = 3
ADAPTERS: Final = 300
ZIPF_EXPONENT: Final = 1.0
#: Of an engine: adapters in its slots, requests that it runs at once, seconds of a load and of a decode step.
#: The load is about that of a 40 MB adapter from the page cache, the step that of a 7B model.
SLOTS, PLACES, LOAD_S, STEP_S = 50, 32, 0.04, 0.02
#: Tokens of each answer.
TOKENS: Final = 24
#: Requests per second, a quarter of what the places allow without a load. With least_outstanding_requests two
#: of five requests need a load, so that loads take a quarter of the engines' time.
RATE: Final = 45.0
#: Least factor by which adapter loads fall, and largest factor of p99.
FEWER_LOADS, P99_RATIO = 2.0, 1.0

LEAST, AFFINE = "least_outstanding_requests", "adapter_affine"
#: RoutingConfig of each side; the threshold is the engine's places, as in `stacks.serving`.
ROUTING: Final[dict[str, dict[str, Any]]] = {
    LEAST: {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
    AFFINE: {
        "RoutingStrategy": "PREFIX_AWARE",
        "PrefixAwareRoutingConfig": {"PrefixLength": PREFIX_BYTES, "ConcurrencyThreshold": PLACES},
    },
}
_ROLE: Final = f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/execution"
#: Seconds for a lost instance to be replaced.
_REPLACED_S: Final = 30.0


@dataclass(frozen=True)
class AffinitySize:
    """Rounds of each routing, with the requests of a run."""

    rounds: int
    losses: int
    """Rounds in which an instance is lost."""
    requests: int


FULL = AffinitySize(rounds=3, losses=3, requests=750)
QUICK = AffinitySize(rounds=1, losses=1, requests=500)


@dataclass(frozen=True)
class Bodies:
    """Bodies in OpenAI's schema, which vLLM takes at `/invocations`; the laptop cloud's clients send them."""

    workload: Workload
    affine: bool

    def __call__(self, index: int) -> bytes:
        """Return the body of a request."""
        request = {"model": self.workload.name_of(index), "prompt": "x" * 64, "max_tokens": TOKENS}
        return adapter_first(request) if self.affine else json.dumps(request).encode()


@dataclass
class Instances:
    """The engines of one endpoint, by the files that they write at their start: `<pid>` with the port."""

    folder: Path
    lost_loads: int = 0
    """Loads of instances that are gone, until they were lost."""

    def loads(self) -> int:
        """Return the number of adapters that entered a slot since the start."""
        return self.lost_loads + sum(_loads(port) for _, port in self._running())

    def lose_one(self) -> None:
        """Kill an instance with the requests in flight on it."""
        pid, port = next(self._running())
        self.lost_loads += _loads(port)
        (self.folder / str(pid)).unlink()
        os.kill(pid, signal.SIGKILL)

    def wait_complete(self) -> None:
        """Wait until a lost instance is replaced."""
        deadline = time.monotonic() + _REPLACED_S
        while not self._are_complete():
            if time.monotonic() > deadline:
                raise BenchmarkFailed(
                    f"a lost instance was not replaced within {_REPLACED_S:.0f} s: see the laptop cloud's log"
                )
            time.sleep(0.1)

    def _are_complete(self) -> bool:
        ports = [port for _, port in self._running()]
        with contextlib.suppress(OSError):  # it has left its port, and does not listen yet
            return len(ports) == INSTANCES and all(_loads(port) >= 0 for port in ports)
        return False

    def _running(self) -> Iterator[tuple[int, int]]:
        for path in sorted(self.folder.iterdir()):
            yield int(path.name), int(path.read_text())


@dataclass(frozen=True)
class RoutedEndpoint:
    """One routing, its endpoint and instances."""

    routing: str
    endpoint: str
    instances: Instances


@contextlib.contextmanager
def deployed() -> Iterator[tuple[LaptopCloud, list[RoutedEndpoint]]]:
    """Run a laptop cloud with an endpoint of each routing."""
    with tempfile.TemporaryDirectory(prefix="affinity-") as name:
        folders = {routing: Path(name) / routing for routing in ROUTING}
        images = {f"localhost/{routing}": _engine(folder) for routing, folder in folders.items()}
        for folder in folders.values():
            folder.mkdir()
        with LaptopCloud(images=images) as cloud:
            sides = []
            for routing, folder in folders.items():
                _create(cloud, routing)
                sides.append(RoutedEndpoint(routing, _name(routing), Instances(folder)))
            yield cloud, sides


def measure(
    cloud: LaptopCloud, side: RoutedEndpoint, workload: Workload, *, loses: bool = False
) -> dict[str, float]:
    """Send the requests; return loads per 1,000 requests, milliseconds, and requests without answer.

    Raises:
        BenchmarkFailed: an answer of another adapter, or none although no instance was lost.
    """
    before, ended = side.instances.loads(), 0

    def advance(count: int) -> None:
        nonlocal ended
        half = len(workload) // 2
        if loses and ended < half <= ended + count:
            side.instances.lose_one()
        ended += count

    runtime = cloud.client("sagemaker-runtime")
    job = LoadJob(
        target=endpoint_target(runtime, side.endpoint, stream=False, adapter_affine=side.routing == AFFINE),
        workload=workload,
        bodies=Bodies(workload, side.routing == AFFINE),
    )
    done = run(job, advance, Credentials(DEFAULT_ACCOUNT, "local"))
    if loses:
        side.instances.wait_complete()
    failed = _check(done, workload, loses=loses)
    latencies = np.array([each.latency_s for each in done.results if each.outcome is LoadOutcome.OK])
    return {
        "loads": (side.instances.loads() - before) / len(workload) * 1000,
        "p50": float(np.percentile(latencies, 50)) * 1e3,
        "p99": float(np.percentile(latencies, 99)) * 1e3,
        "failed": failed,
        "lag": (done.health.lag_p99_s or 0.0) * 1e3,
    }


def draw(requests: int, seed: int) -> Workload:
    """Draw the requests of a run."""
    names = [f"{ADAPTERS_PREFIX}{number:03}" for number in range(ADAPTERS)]
    return draw_workload(
        arrivals=parse_arrivals("poisson"),
        extent=Extent(rate=RATE, requests=requests),
        adapters=names,
        shares=zipf(ADAPTERS, ZIPF_EXPONENT),
        input_tokens=parse_lengths("fixed:16"),
        output_tokens=parse_lengths(f"fixed:{TOKENS}"),
        seed=seed,
    )


def measure_all(size: AffinitySize, console: Console) -> dict[str, list[dict[str, float]]]:
    """Measure both sides in turns; the first run of each, which fills the slots, is dropped."""
    found: dict[str, list[dict[str, float]]] = {}
    with deployed() as (cloud, sides):
        for number in range(1 + size.rounds + size.losses):
            loses = number > size.rounds
            workload = draw(size.requests, seed=number)
            for side in sides if number % 2 else reversed(sides):
                with step(console, f"run {number}, {side.routing}"):
                    figures = measure(cloud, side, workload, loses=loses)
                if number:
                    found.setdefault(f"{side.routing}{' with a loss' if loses else ''}", []).append(figures)
    return found


def report(found: dict[str, list[dict[str, float]]], console: Console) -> bool:
    """Print medians and ranges; return whether the targets are met."""
    table = Table(title=f"{ADAPTERS} adapters, {INSTANCES} × {SLOTS} slots, {RATE:.0f} requests/s")
    for column in ("", "loads / 1,000", "p50 ms", "p99 ms", "unanswered", "lag p99 ms"):
        table.add_column(column, justify="left" if not column else "right")
    for title, rounds in found.items():
        table.add_row(
            title.replace("_requests", ""),
            *(_spread([each[name] for each in rounds]) for name in ("loads", "p50", "p99", "failed", "lag")),
        )
    console.print(table)
    met = True
    for suffix in ("", " with a loss"):
        least, affine = medians(found[LEAST + suffix]), medians(found[AFFINE + suffix])
        fewer, slower = least["loads"] / affine["loads"], affine["p99"] / least["p99"]
        console.print(
            f"{AFFINE}{suffix}: {fewer:.1f} × fewer loads (at least {FEWER_LOADS:g}), "
            f"p99 × {slower:.2f} (at most {P99_RATIO:g})"
        )
        met = met and fewer >= FEWER_LOADS and slower <= P99_RATIO
    return met


def _engine(folder: Path) -> list[str]:
    """Return the command of the image: it leaves pid and port in `folder`, and becomes the null engine."""
    options = f"--slots {SLOTS} --places {PLACES} --load-seconds {LOAD_S} --token-seconds {STEP_S}"
    engine = (
        f"{shlex.quote(sys.executable)} -m benchmarks.null_engine --port $SAGEMAKER_BIND_TO_PORT {options}"
    )
    return ["sh", "-c", f"echo $SAGEMAKER_BIND_TO_PORT > {shlex.quote(str(folder))}/$$ && exec {engine}"]


def _create(cloud: LaptopCloud, routing: str) -> None:
    sagemaker, name = cloud.client("sagemaker"), _name(routing)
    sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=_ROLE, PrimaryContainer={"Image": f"localhost/{routing}:latest"}
    )
    variant = {
        "VariantName": "Main",
        "ModelName": name,
        "InstanceType": "ml.g5.xlarge",
        "InitialInstanceCount": INSTANCES,
        "RoutingConfig": ROUTING[routing],
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})


def _name(routing: str) -> str:
    return routing.replace("_", "-")


def _loads(port: int) -> int:
    with urlopen(f"http://127.0.0.1:{port}/null/batch", timeout=5) as response:
        return int(json.load(response)["loads"])


def _check(done: LoadRun, workload: Workload, *, loses: bool) -> int:
    """Return the number of requests without an answer."""
    failed = [each for each in done.results if each.outcome is not LoadOutcome.OK]
    wrong = [
        each
        for each in done.results
        if each.outcome is LoadOutcome.OK and each.text != f"[{workload.name_of(each.index)}]"
    ]
    if wrong:
        raise BenchmarkFailed(
            f"request {wrong[0].index} was answered {wrong[0].text!r}: correct the benchmark"
        )
    if failed and not loses:
        raise BenchmarkFailed(
            f"{len(failed)} requests failed: {failed[0].message}: see the laptop cloud's log"
        )
    return len(failed)


def _spread(values: Sequence[float]) -> str:
    return f"{np.median(values):.0f} ({min(values):.0f}–{max(values):.0f})"


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write the figures to out/."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adapter_affinity")
    parser.add_argument("--quick", action="store_true", help="one round of fewer requests")
    size = QUICK if parser.parse_args(arguments).quick else FULL
    console = Console()
    found = measure_all(size, console)
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    (out / "adapter-affinity.json").write_text(json.dumps(found, indent=1) + "\n")
    return 0 if report(found, console) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
