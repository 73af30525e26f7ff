"""Output of the `adapters` commands: results to standard output, warnings and progress to standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.text import Text

from loraserve.adapters.rollback import PublishResult
from loraserve.adapters.stage_store import StageStore
from loraserve.cli.adapters import tables
from loraserve.cli.console import errors, output
from loraserve.verbosity import is_quiet


def show_either(
    store: StageStore, as_json: bool, document: dict[str, Any], *shown: RenderableType | None
) -> None:
    """Print the document as JSON, or else the tables and lines for people."""
    if as_json:
        head = {"stage": store.stage.name, "bucket": store.bucket}
        typer.echo(tables.to_json(head | document))
        return
    target = output()
    for item in shown:
        if item is not None:
            target.print(item, highlight=False, soft_wrap=isinstance(item, str | Text))


def show_result(
    store: StageStore, as_json: bool, result: PublishResult, verb: str, **more: str | None
) -> None:
    """Print the revision that a name points to now; `more` are further keys of the JSON document."""
    entry = result.entry
    reference = escape(f"{entry.name}@{entry.revision}")
    if not result.changed:
        message = f"[green]✓[/] unchanged: it is {reference} already"
    else:
        message = f"[green]✓[/] {verb}: {reference}"
        message += f", replaces {result.replaced}" if result.replaced else ""
    document = {
        "outcome": verb.replace(" ", "-") if result.changed else "unchanged",
        "replaced": result.replaced,
        "entry": entry,
        **more,
    }
    note = more.get("note")
    show_either(store, as_json, document, message, Text(note) if note else None)


def count_of(count: int) -> str:
    """Return e.g. `1 adapter` or `50 adapters`."""
    return f"{count} adapter" + ("" if count == 1 else "s")


def warn(as_json: bool, warning: str | None) -> None:
    """Print a warning, if there is one; with `--json` it is in the document instead."""
    if warning is not None and not as_json:
        errors.print(f"[yellow]![/] {escape(warning)}")


@contextmanager
def progress_of(title: str, total: int, as_json: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar of bytes if standard error is a terminal; yields the callback for each count of bytes."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    hidden = as_json or is_quiet() or not errors.is_terminal
    with Progress(*columns, console=errors, transient=True, disable=hidden) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)
