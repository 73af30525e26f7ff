"""The command `destroy`."""

from __future__ import annotations

import functools
from typing import Annotated

import typer

from loraserve.cli.console import console, report_interrupt
from loraserve.cli.options import Profile

#: Unknown options are passed to `cdk destroy`.
CONTEXT_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
INTERRUPTED = "CloudFormation continues to delete what it has begun: see its events, or run this again"


def command(
    context: typer.Context,
    stage: Annotated[str, typer.Argument(help="A stage of stages/, e.g. dev.")],
    profile: Profile = None,
) -> None:
    """Delete a stage's stacks in AWS, after a confirmation.

    At the end the resources that are kept are listed.

    Further arguments are passed to `cdk destroy`, e.g. --force to skip the confirmation. Options that boto3
    would not follow, such as --region, are refused.

    Example: make destroy STAGE=dev
    """
    from loraserve.aws import client_factory
    from loraserve.cdk import interactive
    from loraserve.cdk_arguments import cdk_arguments
    from loraserve.destroy import destroy
    from stacks.config.loading import load_stages
    from stacks.project import ROOT

    with report_interrupt(INTERRUPTED):
        [loaded] = load_stages(ROOT / "stages", stage)
        arguments = cdk_arguments("destroy", stage, context.args, profile)
        run = functools.partial(interactive, output=ROOT / "cdk.out")
        client = client_factory(loaded.config.region, profile)
        destroy(console, loaded, client, run, [*arguments.common, *arguments.own])
