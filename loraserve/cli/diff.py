"""The command `diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from loraserve.cli.console import console


def command(
    base: Annotated[
        str | None,
        typer.Option(
            help="Git revision: its merge base with HEAD is compared. By default origin/main, or main; "
            "HEAD shows what is not committed."
        ),
    ] = None,
    stage: Annotated[str | None, typer.Option(help="Only this stage.")] = None,
    same_packages: Annotated[
        bool,
        typer.Option(
            "--same-packages", help="Synthesize the base with this working tree's packages, whatever it pins."
        ),
    ] = False,
) -> None:
    """Show what the working tree changes in each stack.

    It is printed as by `cdk diff`. The comparison needs no credentials or Docker, and no network unless the
    base has other packages.

    Example: make diff STAGE=dev BASE=main
    """
    from loraserve.diff import diff

    diff(console, base, stage, same_packages=same_packages)
