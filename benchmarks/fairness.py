"""Fairness benchmark: does one adapter's burst make the others wait?

    python -m benchmarks.fairness [--quick] [--only PART] [--seconds 20]     (also part of make bench)

20 polite adapters each ask for 0.7 of their share of the capacity, and an aggressor for 20 times its share:
together 1.6 times what the engine can do. The share is a twenty-first of the capacity, which is measured
first by a closed loop. Requests arrive by a Poisson process (an open loop), and their answers have half to
one and a half times a mean length, so that places become free one by one. Sides:

alone    the polite requests only, through the container as it is;
fifo     all requests, through the container with a queue that is first come first served
         (`benchmarks.fifo_gateway`);
fair     all requests, through the container as it is.

The polite requests are the same in all sides of a round, at the same times. Parts, by their engine:

resident   the null engine with 16 places, 10 ms a token, and slots for all 21 adapters;
slots      the same with 8 slots, and 20 ms for a load;
vllm       the CPU build of vLLM with the sample adapters, 8 places and slots for all.

Figures: p99 of the polite requests' latency, from the time at which each was due, and the share of them that
was refused; tokens of answers per second. Each is the median of the rounds; the lowest and highest follow in
brackets.

Duration: about ten minutes on two cores. Output: a table, out/fairness.json and out/fairness.md.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks import null_engine
from benchmarks.container_process import ContainerProcess, run_container
from benchmarks.errors import BenchmarkFailed
from benchmarks.gateway_throughput import SETTINGS
from benchmarks.http_load import rps
from benchmarks.publishing import publish
from laptop_cloud.cloud import LaptopCloud
from loraserve.cli.console import errors, report_errors
from loraserve.demo.scenarios import alternating
from loraserve.load.job import LoadJob, LoadRun, Target
from loraserve.load.processes import run
from loraserve.load.result import LoadOutcome
from loraserve.progress import step
from loraserve.workload.arrivals import Extent, RenewalArrivals
from loraserve.workload.workload import Workload
from samples.problems import SEED_PROBLEM, adapter_name
from samples.spec import BASE_DIR
from stacks.project import ROOT
from tests.harness.sample_adapters import sample_files
from tests.harness.store import Store

POLITE = 20
#: The index of the aggressor; the polite adapters come before it.
AGGRESSOR = POLITE
#: Rates of a polite adapter and of the aggressor, in shares of the capacity.
POLITE_RATE, AGGRESSOR_RATE = 0.7, 20.0
#: Seconds at the start of a run that count for no figure.
WARM_UP_SECONDS = 2.0
ALONE, FIFO, FAIR = SIDES = ("alone", "fifo", "fair")
TARGETS = {"p99_ratio": 1.3, "throughput_ratio": 0.98}


class FairnessPart(Enum):
    """A part of the benchmark, which `--only` selects."""

    RESIDENT = "resident"
    SLOTS = "slots"
    VLLM = "vllm"


@dataclass(frozen=True)
class EngineSize:
    """An engine's places and slots; `options` are the null engine's, None for vLLM."""

    places: int
    slots: int
    tokens: int
    """Tokens of an answer, the mean."""
    options: tuple[str, ...] | None = None


ENGINES = {
    FairnessPart.RESIDENT: EngineSize(16, 32, 32, ("--load-seconds", "0.02", "--token-seconds", "0.01")),
    FairnessPart.SLOTS: EngineSize(16, 8, 32, ("--load-seconds", "0.02", "--token-seconds", "0.01")),
    FairnessPart.VLLM: EngineSize(8, 32, 16),
}


@dataclass(frozen=True)
class FairnessSize:
    """Number of rounds, and seconds of each side in a round."""

    rounds: int
    seconds: float


FULL = FairnessSize(rounds=3, seconds=20.0)
QUICK = FairnessSize(rounds=1, seconds=6.0)


@dataclass(frozen=True)
class LoraxBodies:
    """Bodies in LoRAX's schema, for these adapters and numbers of tokens."""

    adapters: Sequence[int]
    tokens: Sequence[int]

    def __call__(self, index: int) -> bytes:
        """Return the body of request `index`."""
        parameters = {
            "adapter_id": adapter_name(self.adapters[index]),
            "max_new_tokens": self.tokens[index],
            "ignore_eos_token": True,
        }
        return json.dumps({"inputs": SEED_PROBLEM.prompt, "parameters": parameters}).encode()


def measure(part: FairnessPart, size: FairnessSize, console: Console) -> dict[str, Any]:
    """Measure all rounds of a part."""
    engine = ENGINES[part]
    with _containers(engine) as targets:
        for target in targets.values():
            _ask(target, engine, np.arange(POLITE + 1), clients=1)
        names = np.arange(10 * engine.places) % (POLITE + 1)
        capacity = statistics.median(rps(_ask(targets[FIFO], engine, names, engine.places)) for _ in range(3))
        rounds = []
        for number in range(size.rounds):
            load = workload(capacity, engine.tokens, size.seconds, seed=number)
            figures: dict[str, float] = {}
            for side in alternating(SIDES, number):
                with step(console, f"{part.value}, round {number + 1}, {side}"):
                    found = _side(targets[side], load, alone=side == ALONE)
                figures |= {f"{side}_{name}": value for name, value in found.items()}
            figures["p99_ratio"] = figures["fair_p99_s"] / figures["alone_p99_s"]
            figures["fifo_p99_ratio"] = figures["fifo_p99_s"] / figures["alone_p99_s"]
            figures["throughput_ratio"] = figures["fair_tokens_per_s"] / figures["fifo_tokens_per_s"]
            rounds.append(figures)
    return {"capacity_rps": capacity, "rounds": rounds}


def workload(capacity: float, tokens: int, seconds: float, *, seed: int) -> Workload:
    """Return Poisson arrivals of all adapters; `capacity` is requests per second of `tokens` tokens each."""
    random = np.random.default_rng(seed)
    rates = np.array([POLITE_RATE] * POLITE + [AGGRESSOR_RATE]) * capacity / (POLITE + 1)
    due = RenewalArrivals(cv=1.0).due_s(random, Extent(rate=float(rates.sum()), duration_s=seconds))
    count = len(due)
    return Workload(
        due_s=due,
        adapter=random.choice(POLITE + 1, size=count, p=rates / rates.sum()).astype(np.int32),
        input_tokens=np.zeros(count, np.int32),
        output_tokens=random.integers(tokens // 2, tokens * 3 // 2, count, np.int32, endpoint=True),
        adapters=tuple(adapter_name(number) for number in range(POLITE + 1)),
    )


def _side(target: Target, load: Workload, *, alone: bool) -> dict[str, float]:
    """Send a workload, or the polite part of it; return the figures."""
    seconds = load.duration_s
    if alone:
        polite = load.adapter != AGGRESSOR
        load = Workload(
            due_s=load.due_s[polite],
            adapter=load.adapter[polite],
            input_tokens=load.input_tokens[polite],
            output_tokens=load.output_tokens[polite],
            adapters=load.adapters,
        )
    job = LoadJob(
        target=target, workload=load, bodies=LoraxBodies(load.adapter.tolist(), load.output_tokens.tolist())
    )
    return figures_of(run(job, lambda _: None), load, seconds)


def figures_of(found: LoadRun, load: Workload, seconds: float) -> dict[str, float]:
    """Return polite p99 and refused share, and tokens per second between warm-up and last arrival."""
    latencies, refused, tokens = [], 0, 0
    for result in found.results:
        is_ok = result.outcome is LoadOutcome.OK
        if not is_ok and "429" not in (result.message or ""):
            raise BenchmarkFailed(f"request {result.index}: {result.outcome.value}, {result.message}")
        if is_ok and WARM_UP_SECONDS <= result.ended_s <= seconds:
            tokens += int(load.output_tokens[result.index])
        if load.adapter[result.index] != AGGRESSOR and result.due_s >= WARM_UP_SECONDS:
            refused += not is_ok
            if is_ok:
                latencies.append(result.latency_s)
    if not latencies:
        raise BenchmarkFailed("no polite request was answered: measure for longer")
    return {
        "p99_s": float(np.percentile(latencies, 99)),
        "refused": refused / (refused + len(latencies)),
        "tokens_per_s": tokens / (seconds - WARM_UP_SECONDS),
    }


def _ask(target: Target, engine: EngineSize, adapters: Sequence[int] | Any, clients: int) -> LoadRun:
    """Ask these adapters in a closed loop; raise BenchmarkFailed for any answer that is an error."""
    count = len(adapters)
    zeros = np.zeros(count, np.int32)
    job = LoadJob(
        target=target,
        workload=Workload(
            due_s=np.zeros(count),
            adapter=np.asarray(adapters, np.int32),
            input_tokens=zeros,
            output_tokens=zeros,
            adapters=tuple(map(adapter_name, range(POLITE + 1))),
        ),
        bodies=LoraxBodies([int(number) for number in adapters], [engine.tokens] * count),
        mode="closed",
        clients=clients,
    )
    found = run(job, lambda _: None)
    for result in found.results:
        if result.outcome is not LoadOutcome.OK:
            raise BenchmarkFailed(f"request {result.index}: {result.outcome.value}, {result.message}")
    return found


@contextmanager
def _containers(engine: EngineSize) -> Iterator[dict[str, Target]]:
    """Run the container as it is and the one with the FIFO; yield the target of each side."""
    with tempfile.TemporaryDirectory(prefix="fair-") as name, LaptopCloud() as cloud:
        folders = {side: Path(name) / side for side in (FIFO, FAIR)}
        store = Store(cloud.client("s3"))
        names = [adapter_name(number) for number in range(POLITE + 1)]
        publish(store, {name: sample_files(name) for name in names})
        settings = SETTINGS | {
            "ADAPTER_BUCKET": store.bucket,
            "MAX_CONCURRENT_REQUESTS": str(engine.places),
            "MAX_ACTIVE_ADAPTERS": str(engine.slots),
        }
        for folder in folders.values():
            settings |= _engine(engine, folder)
        with (
            run_container(cloud, folders[FIFO], settings, module="benchmarks.fifo_gateway") as fifo,
            run_container(cloud, folders[FAIR], settings) as fair,
        ):
            yield {ALONE: _target(fair), FAIR: _target(fair), FIFO: _target(fifo)}


def _engine(engine: EngineSize, folder: Path) -> Mapping[str, str]:
    """Prepare a container's folder; return the settings that select the engine."""
    folder.mkdir()
    if engine.options is None:
        (folder / "model").symlink_to(BASE_DIR)
        return {}
    sizes = ("--slots", str(engine.slots), "--places", str(engine.places))
    null_engine.install_as_vllm(folder / "path", *sizes, *engine.options)
    return {"PYTHONPATH": f"{folder / 'path'}:{ROOT}"}


def _target(container: ContainerProcess) -> Target:
    return Target(url=f"http://127.0.0.1:{container.port}/invocations")


HEADER = (
    "engine",
    "polite p99 alone",
    "FIFO",
    "fair",
    "fair ÷ alone",
    "refused, FIFO and fair",
    "tokens/s ÷ FIFO's",
)


def rows(figures: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row of the table for each part."""
    found: list[tuple[str, ...]] = []
    for part, measured in figures.items():
        rounds = measured["rounds"]

        def spread(name: str, form: str, rounds: Any = rounds) -> str:
            values = sorted(each[name] for each in rounds)
            middle = statistics.median(values)
            return f"{middle:{form}} ({values[0]:{form}}–{values[-1]:{form}})"

        middle = {name: statistics.median(each[name] for each in rounds) for name in TARGETS}
        p99_met = middle["p99_ratio"] <= TARGETS["p99_ratio"]
        rate_met = middle["throughput_ratio"] >= TARGETS["throughput_ratio"]
        found.append(
            (
                part,
                spread("alone_p99_s", ".2f") + " s",
                spread("fifo_p99_s", ".2f") + " s",
                spread("fair_p99_s", ".2f") + " s",
                f"{spread('p99_ratio', '.2f')}, target ≤ {TARGETS['p99_ratio']} {'✓' if p99_met else '✗'}",
                f"{spread('fifo_refused', '.0%')}, {spread('fair_refused', '.0%')}",
                f"{spread('throughput_ratio', '.2f')}, target ≥ {TARGETS['throughput_ratio']} "
                f"{'✓' if rate_met else '✗'}",
            )
        )
    return found


def main(
    quick: Annotated[bool, typer.Option("--quick", help="One short round.")] = False,
    only: Annotated[
        list[FairnessPart] | None, typer.Option("--only", help="Measure only this part; can be repeated.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Seconds of each side in a round.")
    ] = None,
) -> None:
    """Measure what an aggressor costs the others; print the table and write the figures to out/."""
    console = Console()
    size = QUICK if quick else FULL
    if seconds is not None:
        size = replace(size, seconds=seconds)
    figures: dict[str, Any] = {}
    try:
        with report_errors():
            for part in only or list(FairnessPart):
                figures[part.value] = measure(part, size, console)
    except BenchmarkFailed as error:
        errors.print(f"[red]✗[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    table = Table(
        *HEADER, title=f"{POLITE} polite adapters and an aggressor at {AGGRESSOR_RATE:.0f} × its share"
    )
    for row in rows(figures):
        table.add_row(*row)
    console.print(table)
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    document = {"quick": quick, "size": asdict(size), **figures}
    (out / "fairness.json").write_text(json.dumps(document, indent=1) + "\n")
    lines = [HEADER, tuple("---" for _ in HEADER), *rows(figures)]
    (out / "fairness.md").write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))


if __name__ == "__main__":
    typer.run(main)
