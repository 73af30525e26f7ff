"""The command `destroy`."""

from __future__ import annotations

import functools
from typing import Annotated

import typer

from loraserve.cli.console import console, report_interrupt

#: Unknown options are passed to `cdk destroy`.
CONTEXT_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
INTERRUPTED = "CloudFormation continues to delete what it has begun: see its events, or run this again"


def command(
    context: typer.Context,
    stage: Annotated[str, typer.Argument(help="A stage of stages/, e.g. dev.")],
    profile: Annotated[str | None, typer.Option(help="AWS CLI profile.")] = None,
) -> None:
    """Delete a stage's stacks in AWS, after a confirmation.

    At the end the resources that are kept are listed.

    Further arguments are passed to `cdk destroy`, e.g. --force to skip the confirmation.

    Example: make destroy STAGE=dev
    """
    from loraserve.aws import client_factory
    from loraserve.cdk import interactive
    from loraserve.destroy import destroy
    from stacks.config.loading import load_stages
    from stacks.project import ROOT

    with report_interrupt(INTERRUPTED):
        [loaded] = load_stages(ROOT / "stages", stage)
        run = functools.partial(interactive, output=ROOT / "cdk.out")
        credentials = () if profile is None else ("--profile", profile)
        client = client_factory(loaded.config.region, profile)
        destroy(console, loaded, client, run, [*credentials, *context.args])
