"""The command `deploy`."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Annotated

import typer

from loraserve.cli.console import console, errors, output, report_interrupt, say
from loraserve.cli.options import Profile

#: Unknown options are passed to `cdk deploy`.
CONTEXT_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
AFTERWARDS = "the stage is deployed; its checks were not completed"
INTERRUPTED = "CloudFormation continues or rolls back by itself: see its events, or run this again"


def command(
    context: typer.Context,
    stage: Annotated[str, typer.Argument(help="A stage of stages/, e.g. dev.")],
    profile: Profile = None,
    skip_doctor: Annotated[
        bool, typer.Option("--skip-doctor", help="Do not run the doctor before the deployment.")
    ] = False,
    skip_checks: Annotated[bool, typer.Option("--skip-checks", help="Do not verify the deployment.")] = False,
    break_glass: Annotated[
        str | None,
        typer.Option("--break-glass", metavar="REASON", help="Deploy a stage with promote_from by hand."),
    ] = None,
) -> None:
    """Deploy a stage to AWS with your credentials.

    Further arguments are passed to the CDK CLI: its global options, such as --role-arn, to each of its calls,
    the others to `cdk deploy`. Options that boto3 would not follow, such as --region, are refused.

    The doctor runs first (see `doctor --help`): a problem (✗) ends the command before anything is changed.

    SageMaker refuses two updates that CloudFormation would send. Where the instance type changes, autoscaling
    is removed first and restored by the deployment. Where a single instance is updated in batches, the
    endpoint is scaled out first.

    A stage with `promote_from` takes releases: it is deployed by hand with --break-glass only. The deployment
    is recorded (see `release show --help`), and no other of the same stage runs meanwhile.

    Afterwards the deployment is verified (see `verify --help`): a problem (✗) is an error of this command.

    Example: make deploy STAGE=prod ARGS='--require-approval broadening'
    """
    from loraserve.aws import client_factory
    from loraserve.cdk import interactive
    from loraserve.cdk_arguments import cdk_arguments
    from loraserve.check_report import report
    from loraserve.deploy import deploy
    from loraserve.doctor.examination import examine
    from loraserve.doctor.requests import PATIENCE
    from loraserve.errors import LocalStage, NotDeployable
    from loraserve.promotion.by_hand import DeploymentByHand, recorded, refuse_without_reason
    from loraserve.release.record import Outcome
    from loraserve.verify.expected import expected_of_assembly
    from loraserve.verify.serving import NotAsDeployed
    from loraserve.verify.verification import ENDING, VerificationOptions, verify
    from stacks.config.loading import LOCAL_STAGE, load_stages
    from stacks.project import ROOT

    if stage == LOCAL_STAGE:
        raise LocalStage("the local stage is deployed by 'make up'")
    [loaded] = load_stages(ROOT / "stages", stage)
    refuse_without_reason(stage, loaded.config.promote_from, break_glass)
    arguments = cdk_arguments("deploy", stage, context.args, profile)
    assembly = ROOT / "cdk.out"
    if not skip_doctor:
        with report_interrupt("nothing was changed"):
            quick = client_factory(loaded.config.region, profile, PATIENCE)
            if report(output(), examine(loaded, quick, assembly), progress=errors):
                raise NotDeployable(
                    f"stage {stage!r} is not deployed: correct the lines with ✗ above; 'make doctor "
                    f"STAGE={stage}' checks them again, ARGS=--skip-doctor deploys without the doctor"
                )
    client = client_factory(loaded.config.region, profile)
    by_hand = DeploymentByHand(
        target=loaded.target,
        client=client,
        assembly=assembly,
        takes_releases=loaded.config.promote_from is not None,
        reason=break_glass,
    )
    began = datetime.now(UTC)
    with recorded(console, by_hand):
        with report_interrupt(INTERRUPTED):
            run = functools.partial(interactive, output=assembly)
            run("synth", "--quiet", "--context", f"stage={stage}", *arguments.common)
            known = by_hand.known_instance_type
            deploy(console, loaded.target, client, run, assembly, arguments, known_instance_type=known)
        by_hand.outcome = Outcome.UNVERIFIED
        if skip_checks:
            return
        with report_interrupt(AFTERWARDS):
            expected = expected_of_assembly(assembly, loaded.target)
            options = VerificationOptions(since=began)
            if report(
                output(),
                verify(loaded.target, client, expected, options=options, say=say),
                ending=ENDING,
                progress=errors,
            ):
                raise NotAsDeployed(
                    f"stage {stage!r} is deployed, and its verification found problems: see the lines with ✗ "
                    f"above; 'make verify STAGE={stage}' repeats it"
                )
            by_hand.outcome = Outcome.VERIFIED
