"""The command `release unlock`."""

from __future__ import annotations

import typer

from loraserve.cli.options import AsJson, Profile
from loraserve.cli.release.options import Stage, open_ledger


def command(stage: Stage, profile: Profile = None, as_json: AsJson = False) -> None:
    """Remove the lock of a deployment that is gone.

    A lock expires by itself two minutes after its holder's last renewal. A holder that still runs ends before
    its next change; what CloudFormation does by then, it completes.

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
