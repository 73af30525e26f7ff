"""The command `release resume`."""

from __future__ import annotations

import typer

from loraserve.cli.options import AsJson, Profile
from loraserve.cli.release.options import Stage, open_ledger


def command(stage: Stage, profile: Profile = None, as_json: AsJson = False) -> None:
    """Let releases be promoted to a stage again, which a rollback holds.

    Example: python -m loraserve release resume prod
    """
    import json

    from rich.markup import escape

    from loraserve.cli.console import output

    hold = open_ledger(stage, profile).resume()
    if as_json:
        ended = None if hold is None else hold.model_dump(mode="json", by_alias=True)
        typer.echo(json.dumps({"stage": stage, "ended": ended}, indent=1))
    elif hold is None:
        output().print(f"stage {stage!r} is not held", highlight=False)
    else:
        output().print(
            f"[green]✓[/] the hold of {escape(hold.by)} is ended: {escape(hold.reason)}",
            highlight=False,
            soft_wrap=True,
        )
