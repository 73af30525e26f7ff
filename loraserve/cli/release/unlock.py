"""The command `release unlock`."""

from __future__ import annotations

import typer

from loraserve.cli.options import AsJson, Profile
from loraserve.cli.release.options import Stage, open_ledger


def command(stage: Stage, profile: Profile = None, as_json: AsJson = False) -> None:
    """Remove the lock of a deployment that is gone.

    A lock expires by itself two minutes after its holder's last renewal. If the holder still runs, end it
    first: it ends by itself before its next step only, and until then its CDK CLI goes on with the next
    stack, beside the run that takes the lock.

    Example: python -m loraserve release unlock prod
    """
    import json

    from rich.markup import escape

    from loraserve.cli.console import output

    removed = open_ledger(stage, profile).unlock()
    if as_json:
        typer.echo(json.dumps({"stage": stage, "removed": removed}, indent=1))
    else:
        done = f"[green]✓[/] the lock of {escape(stage)} is removed"
        output().print(done if removed else f"stage {stage!r} is not locked", highlight=False)
