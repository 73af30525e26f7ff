"""The command `diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from loraserve.cli.console import console


def command(
    base: Annotated[str, typer.Option(help="Git revision to compare with.")] = "HEAD",
    stage: Annotated[str | None, typer.Option(help="Only this stage.")] = None,
) -> None:
    """Show what the working tree would change in each stack.

    The comparison needs no credentials, Docker or network.

    Example: make diff STAGE=dev BASE=main
    """
    from loraserve.diff import diff

    diff(console, base, stage)
