"""The command `adapters rollback`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loraserve.cli.adapters.options import open_store
from loraserve.cli.console import report_interrupt
from loraserve.cli.options import AsJson


def command(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="The adapter's name.", show_default=False)] = None,
    to: Annotated[
        str | None, typer.Option(help="The revision; by default the last one other than the current one.")
    ] = None,
    to_lock: Annotated[
        Path | None,
        typer.Option(help="An earlier lock: all its names, to the revisions that it has, or none."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Point a name, or all names of a lock, to an earlier revision.

    A name that was removed is published again.

    Example: python -m loraserve adapters rollback otter --to 4f1b5a0c6c7d8e9f
    """
    if (name is None) == (to_lock is None):
        raise typer.BadParameter("name an adapter, or a lock with --to-lock", param_hint="NAME")
    if name is None:
        assert to_lock is not None  # noqa: S101 — one of both is given
        if to is not None:
            raise typer.BadParameter("a lock has the revisions: leave it out", param_hint="--to")
        _to_lock(context, to_lock, as_json)
        return
    from loraserve.adapters.rollback import ownership_note, rollback
    from loraserve.cli.adapters import output

    with report_interrupt(f"the command show {name} says which revision it points to"):
        store = open_store(context)
        result = rollback(store, name, to)
        note = ownership_note(store, result.entry) if result.changed else None
        output.show_result(store, as_json, result, "rolled back", note=note)


def _to_lock(context: typer.Context, lock: Path, as_json: bool) -> None:
    from loraserve.adapters.lock_rollback import locked_digests, rollback_to_lock
    from loraserve.cli.adapters import output, tables

    with report_interrupt("run it again to go on: all names are rolled back, or none"):
        digests = locked_digests(lock)
        store = open_store(context)
        done = rollback_to_lock(store, digests)
        count = output.count_of(len(done.results))
        others = (
            f"not in the lock, and unchanged: {', '.join(done.not_in_lock)}" if done.not_in_lock else None
        )
        stay = (
            "the next deploy with a changed manifest sets them again: make this lock the stage's manifest"
            if done.results
            else None
        )
        document = {"results": done.results, "not_in_lock": done.not_in_lock}
        table = tables.rolled_back(done.results) if done.results else None
        output.show_either(store, as_json, document, table, f"[green]✓[/] {count} rolled back", others, stay)
