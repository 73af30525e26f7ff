"""Residency benchmark: what do adapters cost that are in no slot of the engine?

    python -m benchmarks.residency [--quick] [--json]     (also part of make bench)

500 adapters, 50 slots. Two containers, one with host memory for all adapters and one with host memory for
those in slots alone, take turns in each round:

throughput  500 adapters by Zipf 1.0, compared with 50 resident ones, at equal work
tail        time to first token of 100 adapters, uniform, compared with that of 50 resident ones
tiers       time to first token of one request, at the engine: from a slot, host memory, disk, and from a disk
            whose pages are not in memory; most of the difference to a slot is time that all requests wait
parsing     the part of it that is vLLM's reading and parsing, in a process without an engine

Duration: about ten minutes on two cores. Output: out/residency.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks import adapter_parsing
from benchmarks.adapter_parsing import forget_pages
from benchmarks.container_process import ContainerProcess, run_container
from benchmarks.errors import BenchmarkFailed
from benchmarks.gateway_throughput import (
    ENGINE,
    FIFTY,
    GATEWAY,
    RESIDENT,
    SETTINGS,
    WRONG,
    ZIPF,
    ThroughputSize,
    ThroughputTargets,
    call_once,
    copies,
    questions_of,
    scenario_of,
)
from benchmarks.publishing import publish
from laptop_cloud.cloud import LaptopCloud
from loraserve.cli.console import errors, report_errors
from loraserve.demo.questions import AnswerLength, load_job
from loraserve.demo.scenarios import alternating
from loraserve.load.job import LoadJob
from loraserve.load.processes import run
from loraserve.load.result import LoadOutcome
from loraserve.progress import step
from samples.spec import ADAPTERS_DIR, BASE_DIR
from stacks.project import ROOT
from tests.harness.sample_adapters import sample_files
from tests.harness.store import Store

#: The sides: host memory for all 500 adapters, or for those in slots.
MEMORY, SLOTS = "host memory", "slots alone"
HOST_ADAPTERS = {MEMORY: 10 * RESIDENT, SLOTS: RESIDENT}
#: Adapters of the working set, and tokens of its answers.
WORKING_SET = 2 * RESIDENT
SHORT = AnswerLength(16, exact=True)
ONE_TOKEN = AnswerLength(1, exact=True)
#: Where an adapter is when its request arrives, and the side that has such ones.
TIERS = {"slot": SLOTS, "memory": MEMORY, "disk": SLOTS, "cold disk": SLOTS}
MIN_ZIPF, MAX_TAIL = 0.95, 3.0


@dataclass(frozen=True)
class ResidencySize:
    """Rounds, and requests of each measurement in a round."""

    rounds: int
    throughput: int
    tail: int
    tiers: int


FULL = ResidencySize(rounds=3, throughput=80, tail=300, tiers=25)
QUICK = ResidencySize(rounds=1, throughput=40, tail=100, tiers=5)


@dataclass(frozen=True)
class MeasuredSide:
    """A running container, and the folder of its adapters."""

    targets: ThroughputTargets
    adapters: Path


def measure(size: ResidencySize, console: Console) -> dict[str, Any]:
    """Measure all rounds; each figure of a round is named `<side> <scenario>`."""
    sample_of = copies()
    names = list(sample_of)
    with tempfile.TemporaryDirectory(prefix="vllm-") as name, LaptopCloud() as cloud:
        store = Store(cloud.client("s3"))
        publish(store, {name: sample_files(of) for name, of in sample_of.items()})
        engine_ids = {name: store.entry(name).prefix for name in names}
        with _sides(cloud, Path(name), store.bucket, engine_ids) as sides:
            for title, side in sides.items():
                with step(console, f"{title}: load {len(names)} adapters"):
                    call_once(side.targets, sample_of, names, seed=0)
            rounds = []
            wrong = Counter(dict.fromkeys(WRONG, 0))
            for number in range(size.rounds):
                with step(console, f"round {number + 1}"):
                    rounds.append(_round(sides, sample_of, size, number, wrong))
    answers = 2 * len(HOST_ADAPTERS) * size.rounds * size.throughput
    return {"rounds": rounds, "wrong": wrong, "answers": answers}


@contextlib.contextmanager
def _sides(
    cloud: LaptopCloud, folder: Path, bucket: str, engine_ids: Mapping[str, str]
) -> Iterator[dict[str, MeasuredSide]]:
    with contextlib.ExitStack() as stack:
        sides: dict[str, MeasuredSide] = {}
        for number, (side, host) in enumerate(HOST_ADAPTERS.items()):
            place = folder / str(number)
            place.mkdir()
            (place / "model").symlink_to(BASE_DIR)
            settings = SETTINGS | {"ADAPTER_BUCKET": bucket, "MAX_CPU_ADAPTERS": str(host)}
            container: ContainerProcess = stack.enter_context(run_container(cloud, place, settings))
            sides[side] = MeasuredSide(ThroughputTargets(container, engine_ids), place)
        yield sides


def _round(
    sides: Mapping[str, MeasuredSide],
    sample_of: Mapping[str, str],
    size: ResidencySize,
    number: int,
    wrong: Counter[str],
) -> dict[str, float]:
    """Measure one round; adds what was wrong with its answers to `wrong`."""
    figures: dict[str, float] = {}
    work = ThroughputSize(rounds=1, requests=size.throughput)
    for side, scenario in alternating([(s, c) for s in sides for c in (FIFTY, ZIPF)], number):
        found = scenario_of(sides[side].targets, (GATEWAY, scenario), sample_of, work, number)
        figures[f"{side} {scenario}"] = found.tokens_per_s
        for kind in wrong:
            wrong[kind] += getattr(found, kind)
    names = list(sample_of)
    for side, count in alternating([(s, c) for s in sides for c in (RESIDENT, WORKING_SET)], number):
        few = names[:count]
        call_once(sides[side].targets, sample_of, few, number)
        drawn = [few[index % count] for index in range(size.tail)]
        random.Random(number).shuffle(drawn)
        seconds = _first_tokens(sides[side].targets, GATEWAY, drawn, sample_of, SHORT)
        figures[f"{side} p99 of {count}"] = float(np.percentile(seconds, 99))
    for tier, side in alternating(list(TIERS.items()), number):
        figures[f"tier {tier}"] = _tier(sides[side], tier, sample_of, size, number)
    return figures


def _tier(
    side: MeasuredSide, tier: str, sample_of: Mapping[str, str], size: ResidencySize, number: int
) -> float:
    """Return the median time to first token of adapters in a tier, one request at a time, at the engine."""
    names = list(sample_of)
    # The last 50 that were used are in slots.
    call_once(side.targets, sample_of, names[-RESIDENT:], number)
    asked = names[-size.tiers :] if tier == "slot" else names[: size.tiers]
    if tier == "cold disk":
        for name in asked:
            [directory] = side.adapters.glob(f"**/{side.targets.engine_ids[name].rstrip('/')}")
            forget_pages(directory)
    seconds = _first_tokens(side.targets, ENGINE, asked, sample_of, ONE_TOKEN)
    return statistics.median(seconds)


def _first_tokens(
    targets: ThroughputTargets,
    side: str,
    names: Sequence[str],
    sample_of: Mapping[str, str],
    length: AnswerLength,
) -> list[float]:
    """Return the seconds from each request to the first token of its stream; at the engine one by one."""
    target, models = targets.models(side, names)
    job = load_job(target, questions_of(names, sample_of, 0), models, length)
    bodies = [json.loads(job.body(index)) | {"stream": True} for index in range(len(names))]
    streamed = LoadJob(
        target=target,
        workload=job.workload,
        bodies=[json.dumps(body).encode() for body in bodies],
        mode=job.mode,
        clients=1 if side == ENGINE else job.clients,
    )
    results = run(streamed, lambda _: None).results
    if failed := [result for result in results if result.outcome is not LoadOutcome.OK]:
        raise BenchmarkFailed(f"{len(failed)} of {len(results)} requests failed: {failed[0].message}")
    return [result.first_token_s - result.sent_s for result in results if result.first_token_s is not None]


def rows(figures: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each figure: its name, the measured median with the lowest and highest, its target."""
    rounds = figures["rounds"]

    def ratio(what: str, above: str, below: str, target: str) -> tuple[str, ...]:
        values = sorted(one[above] / one[below] for one in rounds)
        return what, f"{statistics.median(values):.3f} ({values[0]:.2f} to {values[-1]:.2f})", target

    def milliseconds(what: str, values: Sequence[float], unit: float = 1e3) -> tuple[str, ...]:
        ordered = sorted(value * unit for value in values)
        return what, f"{statistics.median(ordered):.2f} ({ordered[0]:.2f} to {ordered[-1]:.2f}) ms", ""

    found = []
    for side in HOST_ADAPTERS:
        target = f"at least {MIN_ZIPF}" if side == MEMORY else ""
        what = f"{side}: tokens/s, 500 by Zipf 1.0 ÷ 50 resident"
        found.append(ratio(what, f"{side} {ZIPF}", f"{side} {FIFTY}", target))
    for side in HOST_ADAPTERS:
        target = f"at most {MAX_TAIL:g}" if side == MEMORY else ""
        what = f"{side}: p99 of first token, {WORKING_SET} uniform ÷ 50 resident"
        found.append(ratio(what, f"{side} p99 of {WORKING_SET}", f"{side} p99 of {RESIDENT}", target))
    for tier in TIERS:
        found.append(milliseconds(f"first token from {tier}", [one[f"tier {tier}"] for one in rounds]))
    found += [milliseconds(f"parsing, {name}", [value], 1) for name, value in figures["parsing"].items()]
    return found


def main(
    quick: Annotated[bool, typer.Option("--quick", help="One short round.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print only one JSON document.")] = False,
) -> None:
    """Measure what adapters cost that are in no slot; print the table and write the figures to out/."""
    console = Console(stderr=as_json)
    try:
        with report_errors():
            figures = measure(QUICK if quick else FULL, console)
            figures["parsing"] = adapter_parsing.measure(ADAPTERS_DIR / "otter", quick=quick)
    except BenchmarkFailed as error:
        errors.print(f"[red]✗[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    table = Table("", "median (lowest to highest round)", "target", title="500 adapters, 50 slots")
    for row in rows(figures):
        table.add_row(*row)
    console.print(table)
    counts = ", ".join(f"{count} {kind}" for kind, count in figures["wrong"].items())
    console.print(f"{figures['answers']} checked answers: {counts}")
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    document = json.dumps({"cores": os.cpu_count(), "quick": quick, **figures}, indent=1) + "\n"
    (out / "residency.json").write_text(document)
    if as_json:
        print(document, end="")


if __name__ == "__main__":
    typer.run(main)
