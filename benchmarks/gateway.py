"""Gateway benchmark: how much time does the gateway add, and how much do many adapters add?

    python -m benchmarks.gateway [--quick] [--only PART] [--json]     (also part of make bench)

Parts and their comparisons:

overhead    the gateway in front of a null engine, compared with the null engine alone: requests per second
            of one core, latency added to a request and to an event of a stream;
throughput  output tokens per second at equal work: base model, one adapter and 50, through the gateway and
            with vLLM alone; and 500 adapters through the gateway;
cold        the first request to a 40 MB adapter that is in the bucket only, compared with its download and
            load.

Each figure is the median of several rounds. In each round all sides of a comparison run one after the other
on the same machine, so only differences and ratios are meaningful.

Duration: about eight minutes on two cores. Output: out/gateway.json and out/gateway.md.
"""

from __future__ import annotations

import json
import os
import sys
from enum import Enum
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from benchmarks import gateway_cold_start, gateway_overhead, gateway_report, gateway_throughput
from benchmarks.errors import BenchmarkFailed
from loraserve.cli.console import errors, report_errors
from stacks.project import ROOT


class Part(Enum):
    """A part of the benchmark, which `--only` selects."""

    OVERHEAD = "overhead"
    THROUGHPUT = "throughput"
    COLD = "cold"


def measure(parts: list[Part], console: Console, *, quick: bool) -> dict[str, Any]:
    """Measure the parts and return the figures of each."""
    figures: dict[str, Any] = {}
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(),
    )  # fmt: skip
    # Few updates: to draw takes processor time from the measured processes.
    with Progress(*columns, console=console, refresh_per_second=2) as progress:
        for part in parts:
            module = _MODULES[part]
            size = module.QUICK if quick else module.FULL
            task = progress.add_task(part.value, total=size.steps)
            figures[part.value] = module.measure(size, partial(progress.advance, task))
    return figures


_MODULES: dict[Part, Any] = {
    Part.OVERHEAD: gateway_overhead,
    Part.THROUGHPUT: gateway_throughput,
    Part.COLD: gateway_cold_start,
}


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer and shorter rounds.")] = False,
    only: Annotated[
        list[Part] | None, typer.Option("--only", help="Measure only this part; can be repeated.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print only one JSON document on standard output.")
    ] = False,
) -> None:
    """Measure what the gateway adds; print the table and write the figures to out/."""
    console = Console(stderr=as_json)
    try:
        with report_errors():
            figures = measure(only or list(Part), console, quick=quick)
    except BenchmarkFailed as error:
        errors.print(f"[red]✗[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    cores, python = len(os.sched_getaffinity(0)), sys.version.split()[0]
    found = gateway_report.rows(figures)
    console.print(gateway_report.table(f"The gateway, medians, {cores} cores, Python {python}", found))
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    document = json.dumps({"cores": cores, "python": python, "quick": quick, **figures}, indent=1) + "\n"
    (out / "gateway.json").write_text(document)
    (out / "gateway.md").write_text(gateway_report.markdown(found))
    if as_json:
        print(document, end="")


if __name__ == "__main__":
    typer.run(main)
