"""Synth benchmark: how long does `cdk synth` of one stage and of all stages take?

    python -m benchmarks.synth_time     (also part of make bench)

Compared with a bare one-bucket app in the same environment. The three apps alternate for seven rounds, so
that other load on the machine affects all of them; only the ratios of the medians are meaningful.

Duration: about two minutes on two idle cores. Output: out/synth_time.json.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from loraserve.cdk import cdk
from stacks.project import ROOT

PYTHON = ROOT / ".venv" / "bin" / "python"
ROUNDS = 7
STAGE = "dev"
BARE_APP = """
import aws_cdk as cdk
from aws_cdk import aws_s3 as s3

app = cdk.App()
s3.Bucket(cdk.Stack(app, "Bare"), "Bucket")
app.synth()
"""


def seconds(*arguments: str) -> float:
    """Return the wall time of one synth into an empty folder."""
    with tempfile.TemporaryDirectory(prefix="synth-") as output:
        started = time.perf_counter()
        cdk("synth", "--quiet", *arguments, environment=os.environ, output=Path(output))
        return time.perf_counter() - started


def main() -> None:
    """Measure; print the table and write the figures to out/."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="bare-") as folder:
        bare = Path(folder) / "app.py"
        bare.write_text(BARE_APP)
        apps = {
            "bare one-bucket app": ("--app", f"{PYTHON} {bare}"),
            f"stage {STAGE}": ("--context", f"stage={STAGE}"),
            "all stages": (),
        }
        times: dict[str, list[float]] = {name: [] for name in apps}
        for _ in track(range(ROUNDS), description="synth, alternating", console=console):
            for name, arguments in apps.items():
                times[name].append(seconds(*arguments))
    medians = {name: statistics.median(values) for name, values in times.items()}
    reference = medians["bare one-bucket app"]
    table = Table(title=f"cdk synth, {ROUNDS} rounds, Python {sys.version.split()[0]}")
    for column in ("", "median s", "fastest s", "÷ bare"):
        table.add_column(column, justify="left" if not column else "right")
    for name, values in times.items():
        table.add_row(name, f"{medians[name]:.2f}", f"{min(values):.2f}", f"{medians[name] / reference:.2f}")
    console.print(table)
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    figures = {"seconds": times, "medians": medians, "ratio": medians[f"stage {STAGE}"] / reference}
    (out / "synth_time.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
