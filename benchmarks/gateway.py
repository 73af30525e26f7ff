"""What the gateway costs, and what many adapters cost behind it.

    make bench     (alone: python -m benchmarks.gateway [--quick] [--only PART] [--json])

overhead    a null engine behind the gateway: requests per second of one core, time added to a request and
            to a streamed event;
throughput  vLLM behind the gateway and asked directly: answers per second, for one, 50 and 500 adapters;
cold        the first request to a 40 MB adapter that is only in the bucket, beside its download and load.

Each figure is the median of rounds in which the two sides of a comparison take turns on the same machine, so
the differences and ratios are what counts. Writes out/gateway.json and out/gateway.md.
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

from benchmarks import gateway_cold, gateway_overhead, gateway_report, gateway_throughput
from benchmarks.failure import BenchmarkFailed
from loraserve.cli.console import report_errors
from stacks.project import ROOT


class Part(Enum):
    """What can be measured on its own."""

    OVERHEAD = "overhead"
    THROUGHPUT = "throughput"
    COLD = "cold"


def measure(parts: list[Part], console: Console, *, quick: bool) -> dict[str, Any]:
    """The figures of each part."""
    figures: dict[str, Any] = {}
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(),
    )  # fmt: skip
    # Few updates: drawing takes time from what is measured.
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
    Part.COLD: gateway_cold,
}


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer and shorter rounds.")] = False,
    only: Annotated[
        list[Part] | None, typer.Option("--only", help="Measure this part; may be repeated.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")
    ] = False,
) -> None:
    """Measure what the gateway costs; print the table, write the figures."""
    console = Console(stderr=as_json)
    try:
        with report_errors():
            figures = measure(only or list(Part), console, quick=quick)
    except BenchmarkFailed as error:
        Console(stderr=True, soft_wrap=True).print(f"[red]✗[/] {escape(str(error))}")
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
