"""The command `deploy`."""

from __future__ import annotations

import functools
from typing import Annotated

import typer

from loraserve.cli.console import console, report_interrupt

#: Unknown options are passed to `cdk deploy`.
CONTEXT_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
INTERRUPTED = "CloudFormation continues or rolls back by itself: see its events, or run this again"


def command(
    context: typer.Context, stage: Annotated[str, typer.Argument(help="A stage of stages/, e.g. dev.")]
) -> None:
    """Deploy a stage to AWS with your credentials.

    Further arguments are passed to `cdk deploy`.

    SageMaker refuses two updates that CloudFormation would send. Where the instance type changes, autoscaling
    is removed first and restored by the deployment. Where a single instance is updated in batches, the
    endpoint is scaled out first.

    Example: make deploy STAGE=prod ARGS='--require-approval broadening'
    """
    from loraserve.aws import client_factory
    from loraserve.cdk import interactive
    from loraserve.deploy import deploy
    from stacks.config.loading import load_stages
    from stacks.project import ROOT

    with report_interrupt(INTERRUPTED):
        [loaded] = load_stages(ROOT / "stages", stage)
        client = client_factory(loaded.config.region)
        assembly = ROOT / "cdk.out"
        run = functools.partial(interactive, output=assembly)
        deploy(console, stage, client, run, assembly, context.args)
