"""Set-up benchmark: how long does a fresh clone take to its first synth, and how large is it then?

    python -m benchmarks.setup_time     (also part of make bench)

The last commit is cloned into a temporary folder, where `make synth STAGE=dev` runs twice: with the set-up,
and without. pip downloads every package anew, so a part of the time is the network's.

Duration: about a minute on two idle cores. Output: out/setup_time.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stacks.project import ROOT

STAGE = "dev"
#: Folders that the set-up writes.
FOLDERS = (".venv", "node_modules", "build")
MIB = 1 << 20


def seconds(folder: Path) -> float:
    """Return the wall time of `make synth` in `folder`."""
    # As in a shell without settings: the first import writes the bytecode, and pip keeps no downloads.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    subprocess.run(
        ["make", "--silent", "synth", f"STAGE={STAGE}"],  # noqa: S607
        cwd=folder,
        env=environment | {"PIP_NO_CACHE_DIR": "1"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def size(folder: Path) -> float:
    """Return the size of a folder's files in MiB, in blocks as `du` counts them."""
    # st_blocks has units of 512 bytes.
    return sum(path.lstat().st_blocks * 512 for path in (folder, *folder.rglob("*"))) / MIB


def main() -> None:
    """Measure; print the table and write the figures to out/."""
    with tempfile.TemporaryDirectory(prefix="setup-") as temporary:
        clone = Path(temporary) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)  # noqa: S607
        figures = {
            f"fresh clone to the first synth of {STAGE}, s": seconds(clone),
            "the same again, s": seconds(clone),
            **{f"{folder}, MiB": size(clone / folder) for folder in FOLDERS},
        }
    table = Table("", "figure")
    for name, figure in figures.items():
        table.add_row(name, f"{figure:.0f}")
    Console().print(table)
    output = ROOT / "out" / "setup_time.json"
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
