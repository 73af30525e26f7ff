"""The command `adapters rollback`."""

from __future__ import annotations

from typing import Annotated

import typer

from loraserve.cli.adapters.options import Name, open_store
from loraserve.cli.console import report_interrupt
from loraserve.cli.options import AsJson


def command(
    context: typer.Context,
    name: Name,
    to: Annotated[
        str | None, typer.Option(help="The revision; by default the last one other than the current one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Point a name to an earlier revision, also after it was removed.

    Example: python -m loraserve adapters rollback otter --to 4f1b5a0c6c7d8e9f
    """
    from loraserve.adapters.rollback import ownership_note, rollback
    from loraserve.cli.adapters import output

    with report_interrupt(f"the command show {name} says which revision it points to"):
        store = open_store(context)
        result = rollback(store, name, to)
        note = ownership_note(store, result.entry) if result.changed else None
        output.show_result(store, as_json, result, "rolled back", note=note)
