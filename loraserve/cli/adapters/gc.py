"""The command `adapters gc`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from loraserve.cli.adapters.options import open_store
from loraserve.cli.console import report_interrupt
from loraserve.cli.options import AsJson


def command(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    min_age_hours: Annotated[
        float, typer.Option(min=0, help="Skip what is younger: its publication may be in progress.")
    ] = 24,
    as_json: AsJson = False,
) -> None:
    """Clean up: retire and delete revisions and uploads.

    A revision that no name points to is retired. A revision that has been retired for the retention period,
    or was never completed, is deleted. An upload without progress is aborted.

    Example: python -m loraserve adapters gc --dry-run
    """
    from loraserve.adapters.garbage_collection import collect
    from loraserve.cli.adapters import output, tables

    with report_interrupt("run it again to go on"):
        store = open_store(context)
        done = collect(store, min_age=timedelta(hours=min_age_hours), dry_run=dry_run)
        document = {"dry_run": dry_run, "actions": done, "bytes": sum(action.size for action in done)}
        days = store.stage.config.retention_days
        output.show_either(store, as_json, document, tables.actions(done, days, dry_run=dry_run))
