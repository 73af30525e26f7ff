"""The command `promote`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from loraserve.cli.console import console, errors, output, report_interrupt
from loraserve.cli.options import ApprovedBy, AsJson, NoInvoke, Profile, Run, require_choice

if TYPE_CHECKING:
    from loraserve.review.finding import Category

#: After a Ctrl-C of a promotion or a rollback.
INTERRUPTED = (
    "CloudFormation completes or rolls back what it has begun: run this again, which waits for it and goes on"
)


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
            help="Seconds after the deployment in which no alarm may be raised. By default 600 for a stage "
            "with termination_protection, else 0.",
        ),
    ] = None,
    no_invoke: NoInvoke = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output",
            help="Folder for plan.md, and for record.json of a deployment; also written on errors.",
        ),
    ] = None,
    run: Run = "",
    approved_by: ApprovedBy = "",
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Check, deploy and verify a release.

    The checks read only; each problem (✗) has its remedy, and ends the command before anything is changed.
    Then the image is copied from the stage before by its digest, the release's stacks are deployed without
    another synth, the stage is verified, and the deployment is recorded in the stage's bucket.

    A run that was interrupted is started again with the same command: it waits for what is under way in
    CloudFormation, and goes on. docs/promotion.md has the checks, and a runbook for each failure.

    Exit codes: 0 the release serves, verified; 1 a failed check, deployment or verification; 3 findings of
    the review that are not accepted.

    Example: make promote STAGE=prod RELEASE=out/release

    Example: python -m loraserve promote prod --release out/release --check
    """
    from loraserve.aws import client_factory
    from loraserve.cdk_arguments import cdk_arguments
    from loraserve.check_report import document
    from loraserve.promotion import promotion
    from loraserve.release.approvals import pipeline_run
    from loraserve.release.opened import open_release
    from loraserve.review.finding import CATEGORIES
    from loraserve.review.report.text import text

    for category in accept or ():
        require_choice("--accept", category, CATEGORIES)
    if as_json and not check:
        raise typer.BadParameter(
            "add --check; the record of a deployment is in --output", param_hint="--json"
        )
    pipeline = pipeline_run(os.environ, stage)
    options = promotion.PromotionOptions(
        accepted=tuple(cast("list[Category]", accept or [])),
        soak=soak,
        bake=bake,
        invoke=not no_invoke,
        run=run or pipeline.address,
        approved_by=approved_by or pipeline.approved_by,
        folder=folder,
    )
    with report_interrupt("nothing was changed"), open_release(release) as opened:
        wanted = opened.stage(stage)
        client = client_factory(wanted.region, profile)
        promotion.require_account(wanted, client)
        plan = promotion.planned(opened, wanted, client, options)
        arguments = cdk_arguments("deploy", stage, (), profile)
        if check:
            shown = errors if as_json else output()
            examination = promotion.check(shown, errors, plan, options)
            if as_json:
                typer.echo(document(stage, examination.lines))
            elif examination.review is not None:
                typer.echo(text(examination.review, width=shown.width), nl=False)
            raise typer.Exit(examination.exit_code)
        with report_interrupt(INTERRUPTED):
            if promotion.is_current(plan):
                promotion.verify_current(output(), plan, options, arguments)
                return
            record = promotion.promote(output(), errors, plan, options, arguments)
    console.print(
        f"[green]✓[/] release {record.release} serves in {stage}, verified", highlight=False, soft_wrap=True
    )
