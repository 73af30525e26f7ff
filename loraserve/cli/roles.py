"""The command `roles`."""

from __future__ import annotations

import functools
from typing import Annotated

import typer

from loraserve.cli.console import console, report_interrupt
from loraserve.cli.options import Profile

#: Unknown options are passed to `cdk deploy`.
CONTEXT_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
INTERRUPTED = (
    "CloudFormation continues or rolls back by itself: see the events of LoraServingDeployRoles, or run this "
    "again"
)


def command(
    context: typer.Context,
    stage: Annotated[str, typer.Argument(help="A stage of stages/, e.g. prod.")],
    profile: Profile = None,
) -> None:
    """Create the pipeline's roles in a stage's account.

    An administrator runs it once in each account. The stack LoraServingDeployRoles has the roles of all
    stages that name the account: to check a promotion, to deploy, and to give images to the next stage. Only
    jobs of the environments <stage>-plan and <stage> of the repository in pipeline.yaml get them. Prints the
    commands that set the environments' variables. Further arguments are passed to `cdk deploy`.

    Example: make roles STAGE=prod ARGS='--profile admin'
    """
    from loraserve.aws import client_factory
    from loraserve.cdk import interactive
    from loraserve.cdk_arguments import cdk_arguments
    from loraserve.deploy_roles import ASSEMBLY, deploy_roles
    from stacks.config.loading import load_stages
    from stacks.project import ROOT

    with report_interrupt(INTERRUPTED):
        [loaded] = load_stages(ROOT / "stages", stage)
        arguments = cdk_arguments("deploy", stage, context.args, profile)
        client = client_factory(loaded.config.region, profile)
        run = functools.partial(interactive, output=ASSEMBLY)
        deploy_roles(console, loaded, client, run, [*arguments.common, *arguments.own])
