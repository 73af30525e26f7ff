"""The command `adapters remove`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape
from rich.text import Text

from loraserve.cli.adapters.options import Name, open_store
from loraserve.cli.console import errors, report_interrupt
from loraserve.cli.options import AsJson


def command(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Unpublish a name.

    Its files are kept for the retention period, so that a rollback restores it.

    Example: python -m loraserve adapters remove team/summaries --yes
    """
    from loraserve.adapters.rollback import ownership_note, remove
    from loraserve.cli.adapters import output

    with report_interrupt(f"the command show {name} says whether it is published"):
        store = open_store(context)
        entry = store.get(name).entry
        if not yes:
            _confirm(f"Unpublish {name}@{entry.revision} from {store.bucket}?")
        removed = remove(store, name)
        note = ownership_note(store, removed, removed=True)
        days = store.stage.config.retention_days
        message = f"[green]✓[/] removed {escape(name)}; its files stay for {days} days"
        document = {"name": name, "removed": removed, "note": note}
        output.show_either(store, as_json, document, message, Text(note) if note else None)


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("no terminal to ask on; write it if you are sure", param_hint="--yes")
    # typer.confirm writes a space to standard output, where --json promises a document and nothing else.
    errors.print(escape(f"{question} [y/N] "), end="")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise typer.Abort
