"""The command `bootstrap`."""

from __future__ import annotations

import functools
from typing import Annotated

import typer

from loraserve.cli.console import console, report_interrupt
from loraserve.cli.options import Profile

#: Unknown options are passed to `cdk bootstrap`.
CONTEXT_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
INTERRUPTED = (
    "CloudFormation continues or rolls back by itself: see the events of CDKToolkit, or run this again"
)


def command(
    context: typer.Context,
    stage: Annotated[str, typer.Argument(help="A stage of stages/, e.g. dev.")],
    profile: Profile = None,
) -> None:
    """Prepare a stage's account and region for the CDK, once.

    `cdk bootstrap` creates the stack CDKToolkit with a bucket, an image repository and roles. It runs for the
    stage's account and region and for no other. Further arguments are passed to it.

    Example: make bootstrap STAGE=dev ARGS='--profile sandbox'
    """
    from loraserve.aws import client_factory
    from loraserve.bootstrap import bootstrap
    from loraserve.cdk import interactive
    from loraserve.cdk_arguments import cdk_arguments
    from stacks.config.loading import load_stages
    from stacks.project import ROOT

    with report_interrupt(INTERRUPTED):
        [loaded] = load_stages(ROOT / "stages", stage)
        arguments = cdk_arguments("bootstrap", stage, context.args, profile)
        client = client_factory(loaded.config.region, profile)
        run = functools.partial(interactive, output=ROOT / "cdk.out")
        bootstrap(console, loaded, client, run, [*arguments.common, *arguments.own])
