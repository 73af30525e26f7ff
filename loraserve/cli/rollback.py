"""The command `rollback`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from loraserve.cli.console import console, errors, output, report_interrupt, say
from loraserve.cli.options import ApprovedBy, NoInvoke, Profile, Run
from loraserve.cli.promote import INTERRUPTED


def command(
    stage: Annotated[str, typer.Argument(help="A stage of stages/, e.g. prod.")],
    reason: Annotated[str, typer.Option(help="Reason, for the record and the hold.")],
    to: Annotated[
        str, typer.Option(metavar="RELEASE", help="Id of a release that the stage had, or 'previous'.")
    ] = "previous",
    bake: Annotated[
        int, typer.Option(min=0, help="Seconds after the deployment in which no alarm may be raised.")
    ] = 0,
    no_invoke: NoInvoke = False,
    folder: Annotated[Path | None, typer.Option("--output", help="Folder for record.json.")] = None,
    run: Run = "",
    approved_by: ApprovedBy = "",
    profile: Profile = None,
) -> None:
    """Roll a stage back to an earlier release, and hold it.

    The release comes from the stage's own bucket; image and adapters must still be there. It is deployed,
    verified and recorded as a promotion is. Afterwards the stage is held: `promote` refuses, with the reason,
    until `release resume`.

    'previous' is the last verified release before the current one that was not rolled back. After a
    deployment that failed or was interrupted, it is the current one, which is deployed again.

    Example: make rollback STAGE=prod REASON='wrong answers since noon'

    Example: python -m loraserve rollback prod --to 2026-11-27-1a2b3c4 --reason 'wrong answers since noon'
    """
    from loraserve.adapters.open_store import find_stage
    from loraserve.aws import client_factory
    from loraserve.cdk_arguments import cdk_arguments
    from loraserve.cli.release.options import open_ledger
    from loraserve.promotion.deployed_assembly import deployed_stacks, templates_sha256
    from loraserve.promotion.deployment import ReleaseDeployment
    from loraserve.promotion.rollback import PREVIOUS, record_of, release_before, roll_back
    from loraserve.release.approvals import pipeline_run
    from loraserve.release.opened import open_stored_release
    from loraserve.verify.verification import VerificationOptions

    if not reason.strip():
        raise typer.BadParameter(
            "write why the stage is rolled back: the hold shows it", param_hint="--reason"
        )
    target = find_stage(stage).target
    pipeline = pipeline_run(os.environ, f"{stage}-rollback")
    client = client_factory(target.region, profile)
    with report_interrupt("nothing was changed"):
        ledger = open_ledger(stage, profile)
        wanted = to
        if to == PREVIOUS:
            wanted = release_before(ledger, templates_sha256(deployed_stacks(target, client)))
        say(f"{stage}: the rollback is to release {wanted}")
        record = record_of(ledger, wanted)
        with (
            open_stored_release(ledger, wanted) as opened,
            report_interrupt(INTERRUPTED),
        ):
            deployment = ReleaseDeployment(
                console=output(),
                opened=opened,
                stage=opened.stage(stage),
                client=client,
                arguments=cdk_arguments("deploy", stage, ("--require-approval", "never"), profile),
                options=VerificationOptions(invoke=not no_invoke, bake_seconds=bake),
                image_digest=None if record is None else record.image_digest,
                folder=folder,
            )
            done = roll_back(
                deployment,
                errors,
                ledger,
                reason=reason,
                run=run or pipeline.address,
                approved_by=approved_by or pipeline.approved_by,
            )
    console.print(
        f"[green]✓[/] release {done.release} serves in {stage}, verified; the stage is held until "
        f"`python -m loraserve release resume {stage}`",
        highlight=False,
        soft_wrap=True,
    )
