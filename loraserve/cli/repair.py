"""The command `repair`."""

from __future__ import annotations

from typing import Annotated

import typer

from loraserve.cli.console import console, report_interrupt
from loraserve.cli.options import Profile

INTERRUPTED = "SageMaker continues the update or rolls it back: `verify` shows which config serves"


def command(
    stage: Annotated[str, typer.Argument(help="A stage of stages/, e.g. prod.")],
    profile: Profile = None,
) -> None:
    """Send a rolled back update again.

    After a silent rollback by SageMaker the update is complete for CloudFormation, so a deployment sends
    nothing. This sends UpdateEndpoint with the stack's config and rollout, and waits for it; no
    deployment of the stage runs meanwhile. End the cause of the rollback first: the same update would be
    rolled back again. The exit code is 1 if it is.

    Example: make repair STAGE=prod
    """
    from contextlib import ExitStack

    from loraserve.adapters.open_store import check_account
    from loraserve.aws import client_factory
    from loraserve.errors import LocalStage
    from loraserve.release.ledger import open_ledger
    from loraserve.release.record import DeploymentKind
    from loraserve.verify.repair import repair
    from stacks.config.loading import LOCAL_STAGE, load_stages
    from stacks.project import ROOT

    if stage == LOCAL_STAGE:
        raise LocalStage("the local stage is in no account: `make down`, then `make up` deploy it again")
    [loaded] = load_stages(ROOT / "stages", stage)
    client = client_factory(loaded.config.region, profile)
    check_account(client, loaded.target, "--profile")
    ledger = open_ledger(loaded.target, client)
    with ExitStack() as stack, report_interrupt(INTERRUPTED):
        if ledger is not None:
            # A deployment may be about to update the same endpoint.
            stack.enter_context(ledger.lock(DeploymentKind.BY_HAND, release=None))
        repair(console, loaded.target, client)
    console.print(f"[green]✓[/] {loaded.endpoint_name} serves its stack's config")
