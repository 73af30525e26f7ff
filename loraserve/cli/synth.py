"""The command `synth`."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    stage: Annotated[str | None, typer.Argument(help="A stage of stages/; without it, all stages.")] = None,
) -> None:
    """Write the templates to cdk.out and print each stage's cost.

    It needs no credentials, Docker or network.

    Example: make synth STAGE=dev
    """
    from loraserve.cdk import interactive
    from stacks.project import ROOT

    context = () if stage is None else ("--context", f"stage={stage}")
    interactive("synth", "**", "--quiet", *context, output=ROOT / "cdk.out")
