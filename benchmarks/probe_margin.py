"""Probe benchmark: how far apart are probes, do honest adapters raise alarms, what do probes cost?

    python -m benchmarks.probe_margin [--quick] [--minutes 60] [--dtype bfloat16]

vLLM's CPU build with the sample models, behind the gateway. Parts:

distances   of the probes of all sample adapters from the base's, and from each other's;
noise       distances of probes from the first one of their adapter, alone and in batches of up to 20, for
            `--minutes` under the load of 20 clients; a distance above the margin is a false alarm;
loads       500 names of the sample adapters, loaded through the gateway, which proves each load: errors, and
            the gateway's own count of wrong adapters;
cost        output tokens per second at equal work, without probes and with repeated ones in the default share
            of the time, alternating.

Duration: about 80 minutes on two cores with `--minutes 60`, a few with `--quick`. Output:
out/probe_margin.json.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.request import ProxyHandler, build_opener

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.container_process import run_container
from benchmarks.gateway_throughput import GATEWAY, RESIDENT, SETTINGS, ThroughputTargets, copies
from benchmarks.publishing import publish
from container.gateway.engine.connection import EnginePool
from container.gateway.identity.margins import margin
from container.gateway.proof.probe import Probe
from container.gateway.settings import Settings
from container.vllm.backend import VllmBackend
from laptop_cloud.cloud import LaptopCloud
from loraserve.demo.questions import CLIENTS, EQUAL, AnswerLength, Question, draw
from loraserve.demo.scenarios import alternating
from samples.problems import random_problem
from samples.spec import BASE_DIR, BASE_NAME
from stacks.project import ROOT
from tests.harness.sample_adapters import sample_files
from tests.harness.store import Store

#: Most probes in one batch.
BATCH = 20
WITHOUT, WITH = "without", "with"
_direct = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class ProbeSize:
    """Amount of work: names loaded, rounds of the cost, and requests in each of its measurements."""

    loads: int
    rounds: int
    requests: int


FULL = ProbeSize(loads=500, rounds=6, requests=4 * CLIENTS)
QUICK = ProbeSize(loads=60, rounds=1, requests=CLIENTS)


@dataclass
class Noise:
    """Distances of repeated probes from the first one of the same adapter, by the size of the batch."""

    limit: float
    distances: dict[int, list[float]] = field(default_factory=dict)

    def add(self, batch: int, distance: float) -> None:
        """Add a probe's distance."""
        self.distances.setdefault(batch, []).append(distance)

    @property
    def figures(self) -> dict[str, float]:
        """The number of probes, their greatest and median distance, and the false alarms."""
        found = list(itertools.chain.from_iterable(self.distances.values()))
        return {
            "probes": len(found),
            "median": statistics.median(found),
            "greatest": max(found),
            "greatest_alone": max(self.distances.get(1, [0.0])),
            "false_alarms": sum(distance > self.limit for distance in found),
        }


@dataclass(frozen=True)
class Subject:
    """A running container, its engine's backend, and the adapters in the engine by name."""

    targets: ThroughputTargets
    backend: VllmBackend
    sample_of: dict[str, str]
    first: dict[str | None, Probe]
    """The first probe of each engine id; None is the base model's."""

    async def load(self, requests: int, seed: int) -> float:
        """Send requests to all resident adapters; return output tokens per second."""
        names = list(self.sample_of)[:RESIDENT]
        questions = draw([self.sample_of[name] for name in names], requests, seed)
        name_of = {self.sample_of[name]: name for name in names}
        asked = [name_of[str(question.adapter)] for question in questions]
        found = await asyncio.to_thread(self.targets.ask, GATEWAY, questions, asked, EQUAL)
        return float(found.tokens_per_s)

    async def noise(self, seconds: float, noise: Noise) -> None:
        """Repeat probes in batches of changing size, under load, for some seconds."""
        rng, stop = random.Random(0), asyncio.Event()

        async def load() -> None:
            for number in itertools.count():
                await self.load(4 * CLIENTS, number)
                if stop.is_set():
                    return

        loading = asyncio.create_task(load())
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            batch = [rng.choice(list(self.first)) for _ in range(rng.randint(1, BATCH))]
            for engine_id, probe in zip(
                batch, await asyncio.gather(*map(self.backend.probe, batch)), strict=True
            ):
                noise.add(len(batch), probe.distance(self.first[engine_id]))
        stop.set()
        await loading

    async def cost(self, size: ProbeSize, share: float) -> list[dict[str, float]]:
        """Measure throughput with and without probes in a share of the time."""
        rounds: list[dict[str, float]] = []
        for number in range(size.rounds):
            figures: dict[str, float] = {}
            for side in alternating((WITHOUT, WITH), number):
                probing = asyncio.create_task(self._repeat(share if side == WITH else 0.0))
                figures[side] = await self.load(size.requests, number)
                probing.cancel()
            rounds.append(figures)
        return rounds

    async def _repeat(self, share: float) -> None:
        # As `Prover.watch` does it, with each adapter in use.
        for engine_id in itertools.cycle(self.first):
            if not share:
                return
            began = time.monotonic()
            await self.backend.probe(engine_id)
            await asyncio.sleep(max(1.0, (time.monotonic() - began) / share))


def measure(size: ProbeSize, dtype: str, minutes: float) -> dict[str, Any]:
    """Measure all parts with one container."""
    sample_of = copies()
    with tempfile.TemporaryDirectory(prefix="probe-") as name, LaptopCloud() as cloud:
        folder = Path(name)
        (folder / "model").symlink_to(BASE_DIR)
        store = Store(cloud.client("s3"))
        publish(store, {name: sample_files(of) for name, of in sample_of.items()})
        # The gateway's own repeated probes are off: this process sends them, so that they can be switched.
        settings = {"ADAPTER_BUCKET": store.bucket, "DTYPE": dtype, "PROBE_SHARE": "0"}
        with run_container(cloud, folder, SETTINGS | settings) as running:
            targets = ThroughputTargets(running, {name: store.entry(name).prefix for name in sample_of})
            measured = partial(_measure, targets, sample_of, folder, size, minutes)
            return {"dtype": dtype, "margin": margin(dtype), **asyncio.run(measured(margin(dtype)))}


async def _measure(
    targets: ThroughputTargets,
    sample_of: dict[str, str],
    folder: Path,
    size: ProbeSize,
    minutes: float,
    limit: float,
) -> dict[str, Any]:
    names = list(sample_of)
    # The last ones are the resident ones, as every slot is then theirs.
    errors = _load(targets, sample_of, [*names[RESIDENT : size.loads], *names[:RESIDENT]])
    pool = EnginePool("127.0.0.1", targets.container.engine_port)
    backend = VllmBackend(
        pool,
        base_model=BASE_NAME,
        max_input_tokens=256,
        default_new_tokens=64,
        cache=folder,
        resident=RESIDENT,
    )
    ids: Sequence[str | None] = [None, *(targets.engine_ids[name] for name in names[:RESIDENT])]
    first = {engine_id: await backend.probe(engine_id) for engine_id in ids}
    subject = Subject(targets, backend, sample_of, first)
    noise = Noise(limit)
    await subject.noise(60 * minutes, noise)
    share = float(Settings.model_fields["probe_share"].default)
    rounds = await subject.cost(size, share)
    pool.close()
    return {
        "adapter_to_base": min(first[None].distance(first[each]) for each in ids[1:]),
        "adapter_to_adapter": min(
            first[one].distance(first[other]) for one, other in itertools.combinations(ids[1:], 2)
        ),
        "noise": noise.figures,
        "loads": size.loads,
        "load_errors": errors,
        "wrong_adapters": _wrong_adapters(targets.container.port),
        "share": share,
        "tokens_per_s": rounds,
    }


def _load(targets: ThroughputTargets, sample_of: dict[str, str], names: Sequence[str]) -> int:
    """Load adapters through the gateway; return the number of errors."""
    rng = random.Random(0)
    questions = [Question(sample_of[name], random_problem(rng)) for name in names]
    return targets.ask(GATEWAY, questions, names, AnswerLength(1, exact=True)).errors


def _wrong_adapters(port: int) -> int:
    with _direct.open(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return int(float(next(each for each in lines if each.startswith("lora_wrong_adapters_total")).split()[1]))


def table(figures: dict[str, Any]) -> Table:
    """Return the table of docs/benchmarks.md."""
    noise = figures["noise"]
    ratios = sorted(found[WITH] / found[WITHOUT] for found in figures["tokens_per_s"])
    found = Table(title=f"Probes, {figures['dtype']}, distances in nats")
    for column in ("", "result"):
        found.add_column(column)
    found.add_row("margin", f"{figures['margin']:g}")
    found.add_row("least distance of an adapter from the base", f"{figures['adapter_to_base']:.3f}")
    found.add_row("least distance of two adapters", f"{figures['adapter_to_adapter']:.3f}")
    found.add_row("greatest distance of an adapter from itself, under load", f"{noise['greatest']:.6f}")
    found.add_row("the same, alone in its batch", f"{noise['greatest_alone']:.6f}")
    found.add_row("probes, false alarms among them", f"{noise['probes']}, {noise['false_alarms']}")
    found.add_row(
        "loads, errors, wrong adapters",
        f"{figures['loads']}, {figures['load_errors']}, {figures['wrong_adapters']}",
    )
    spread = f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
    found.add_row("throughput with probes ÷ without", spread)
    return found


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A small part of all.")] = False,
    minutes: Annotated[float | None, typer.Option("--minutes", help="Minutes of probes under load.")] = None,
    dtype: Annotated[str, typer.Option("--dtype", help="float32 or bfloat16.")] = "float32",
) -> None:
    """Measure; print the table and write the figures to out/."""
    default = 0.2 if quick else 60.0
    figures = measure(QUICK if quick else FULL, dtype, default if minutes is None else minutes)
    Console().print(table(figures))
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    cores = len(os.sched_getaffinity(0))
    (out / "probe_margin.json").write_text(json.dumps({"cores": cores, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
