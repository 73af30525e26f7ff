"""Conversion benchmark: memory and time of the seeder for an adapter whose weights are a PyTorch checkpoint.

    python -m benchmarks.conversion     (also part of make bench)

One adapter of 2 GiB from the Hub server into the laptop cloud's S3: as safetensors, as `adapter_model.bin`,
and as an `adapter_model.bin` whose every fourth lora_B is stored transposed. The seeder runs in a separate
process with the modules of the Lambda function, which has 512 MiB.

Duration: about four minutes on two cores. Output: out/conversion.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from adapters.store.layout import CONFIG_FILE
from benchmarks.seeding import bucket, hub
from laptop_cloud.cloud import LaptopCloud
from stacks.project import ROOT
from tests.harness import factories
from tests.harness.checkpoints import write_checkpoint

MEBIBYTES = 2048
Writer = Callable[[Path, int], None]
FORMATS: dict[str, Writer] = {
    "safetensors": factories.write_adapter,
    "adapter_model.bin": write_checkpoint,
    "adapter_model.bin, a quarter of lora_B transposed": partial(write_checkpoint, transposed_every=4),
}


def measure(cloud: LaptopCloud, write: Writer, mebibytes: int) -> dict[str, Any]:
    """Seed one adapter; return the seconds, the bytes, and the peak memory in MiB of the seeder's process."""
    s3 = cloud.client("s3")
    with tempfile.TemporaryDirectory(prefix="conversion-") as name, bucket(s3) as store:
        target = Path(name) / "acme" / "large"
        target.mkdir(parents=True)
        write(target, mebibytes)
        [weights] = [path for path in target.iterdir() if path.name != CONFIG_FILE]
        with hub(Path(name), 0) as (endpoint, commits):
            command = [
                sys.executable, "-m", "benchmarks.seeding_process", endpoint, store, commits["acme/large"],
            ]  # fmt: skip
            done = subprocess.run(
                command, cwd=ROOT, env=cloud.environment, check=True, capture_output=True, text=True
            )
        return {"bytes": weights.stat().st_size, **json.loads(done.stdout)}


def main() -> None:
    """Measure each format; print the table and write the figures to out/."""
    console = Console()
    figures = {}
    with LaptopCloud() as cloud:
        for title, write in FORMATS.items():
            with console.status(title):
                figures[title] = measure(cloud, write, MEBIBYTES)
    table = Table(title=f"Seeding one adapter of {MEBIBYTES} MiB, Python {sys.version.split()[0]}")
    for column in ("", "s", "peak memory MiB", "of it Python and imports", "MiB stored"):
        table.add_column(column, justify="left" if not column else "right")
    for title, figure in figures.items():
        table.add_row(
            title, f"{figure['seconds']:.1f}", f"{figure['peak']:.0f}", f"{figure['imports']:.0f}",
            f"{figure['moved'] / 2**20:.1f}",
        )  # fmt: skip
    console.print(table)
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    (out / "conversion.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
