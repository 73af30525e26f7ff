"""The command `promote`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loraserve.cli.console import console, errors, output, report_interrupt
from loraserve.cli.deploy import INTERRUPTED
from loraserve.cli.options import AsJson, Profile, require_choice


def command(
    stage: Annotated[str, typer.Argument(help="A stage of the release, e.g. prod.")],
    release: Annotated[Path, typer.Option(help="Folder with release.tar and release.json.")],
    check: Annotated[
        bool, typer.Option("--check", help="Run the checks and the review only; nothing is changed.")
    ] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CATEGORY",
            help="Accept the findings of a category of the review, e.g. loss or access; repeatable.",
        ),
    ] = None,
    soak: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Seconds for which the release must have served in the stage before: it is waited for. By "
            "default 0 after the first stage, then an hour.",
        ),
    ] = None,
    bake: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Seconds after the deployment in which no alarm may be raised. By default 600 for a stage with "
            "termination_protection, else 0.",
        ),
    ] = None,
    no_invoke: Annotated[
        bool, typer.Option("--no-invoke", help="Do not ask the endpoint in the verification.")
    ] = False,
    report_folder: Annotated[
        Path | None,
        typer.Option(
            "--output", help="Folder for plan.md, and for record.json of a deployment; also written on errors."
        ),
    ] = None,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Promote a release to a stage: check, deploy, verify and record it.

    The checks read only; each problem (✗) has its remedy, and ends the command before anything is changed. Then
    the image is copied from the stage before by its digest, the release's stacks are deployed without another
    synth, the stage is verified, and the deployment is recorded in the stage's bucket.

    A run that was interrupted is started again with the same command: it waits for what is under way in
    CloudFormation, and goes on. docs/promotion.md has the checks, and a runbook for each failure.

    Exit codes: 0 the release serves, verified; 1 a failed check, deployment or verification; 3 findings of the
    review that are not accepted.

    Example: make promote STAGE=prod RELEASE=out/release

    Example: python -m loraserve promote prod --release out/release --check
    """
    from loraserve.aws import client_factory
    from loraserve.cdk_arguments import cdk_arguments
    from loraserve.check_report import counts, document, report, watched
    from loraserve.finding import State
    from loraserve.release import promotion
    from loraserve.release.checks.catalog import Examination, PlannedPromotion, account_lines, examine
    from loraserve.release.checks.previous_stage import default_soak
    from loraserve.release.deployment import (
        DeploymentOrigin,
        NotVerified,
        ReleaseDeployment,
        checks_of,
        deploy_release,
        verify_release,
    )
    from loraserve.release.giving import giving_stage
    from loraserve.release.ledger import open_ledger
    from loraserve.release.opened import open_release
    from loraserve.review.finding import CATEGORIES
    from loraserve.verify.verification import Options

    for category in accept or ():
        require_choice("--accept", category, CATEGORIES)
