"""The command `release show`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from loraserve.cli.options import AsJson, Profile
from loraserve.cli.release.options import Stage, open_ledger


def command(
    stage: Stage,
    profile: Profile = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Number of deployments.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show what serves in a stage, and its last deployments.

    A hold and a lock of the stage are shown, too.

    Example: python -m loraserve release show prod
    """
    from loraserve.cli.console import output
    from loraserve.cli.release import tables

    ledger = open_ledger(stage, profile)
    current, records = ledger.current(), ledger.records(limit)
    hold, lock = ledger.hold(), ledger.locked_by()
    if as_json:
        document: dict[str, Any] = {
            "stage": ledger.stage,
            "bucket": ledger.bucket,
            "current": None if current is None else current.model_dump(mode="json", by_alias=True),
            "records": [record.model_dump(mode="json", by_alias=True) for record in records],
            "hold": None if hold is None else hold.model_dump(mode="json", by_alias=True),
            "lock": None
            if lock is None
            else lock.holder.model_dump(mode="json", by_alias=True) | {"expired": lock.is_expired},
            "stored_releases": ledger.stored_releases(),
        }
        typer.echo(json.dumps(document, indent=1))
        return
    for shown in tables.ledger(ledger.stage, current, records, hold, lock):
        output().print(shown, highlight=False, soft_wrap=isinstance(shown, str))
