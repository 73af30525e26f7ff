"""Commands of the set-up: their progress on standard error, and the end of their output if they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from loraserve.setup.errors import SetupError
from loraserve.setup.paths import ROOT

BAR_WIDTH = 30
#: Lines of a failed command's output that are shown.
TAIL_LINES = 15


def run(command: list[str | Path], title: str, *, counted: int = 0, root: Path = ROOT) -> None:
    """Run the command in the working copy `root`; raises `SetupError` with the end of its output.

    `counted` is the number of lines that pip prints for its packages; they become a bar.
    """
    output: list[str] = []
    seen = 0
    path = f"{root / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(
        command,
        cwd=root,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101 — it is a pipe
        for line in process.stdout:
            output.append(line)
            if counted and line.startswith(("Collecting ", "Processing ")):
                seen += 1
                filled = BAR_WIDTH * min(seen, counted) // counted
                show(f"setup: {title} [{'█' * filled}{'·' * (BAR_WIDTH - filled)}] {seen}/{counted}")
            elif line.startswith("Installing collected"):
                show(f"setup: {title} [{'█' * BAR_WIDTH}] unpacking …")
    if process.returncode != 0:
        raise SetupError(f"{title} failed; the end of its output:\n{''.join(output[-TAIL_LINES:])}")


def show(text: str, last: bool = False) -> None:
    """Print a line of progress; on a terminal it replaces the line before, unless that was the last."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}" + ("\n" if last else ""))
    elif last or text.endswith("…"):
        sys.stderr.write(text + "\n")
    sys.stderr.flush()
