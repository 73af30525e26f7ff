"""The command `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loraserve.cli.console import console
from loraserve.cli.options import Port


def command(
    port: Port = None, out: Annotated[Path, typer.Option(help="Directory of the results.")] = Path("out")
) -> None:
    """Deploy 50 adapters on this laptop, measure them, tear down.

    One endpoint serves all of them. The demo compares an adapter's answer with the base model's, measures the
    base model, one adapter and fifty at equal work, and writes report.html, one page with all of it, and its
    figures as demo.json.

    Example: make demo
    """
    from loraserve.demo.demo import demo

    demo(console, out, port)
