"""How a command's result gets to standard output, and what else it has to say to standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.text import Text

from loraserve.adapters.rollback import Outcome
from loraserve.adapters.stage_store import StageStore
from loraserve.cli import adapter_tables as tables
from loraserve.cli.console import errors, output


def show_either(
    store: StageStore, as_json: bool, document: dict[str, Any], *shown: RenderableType | None
) -> None:
    """Either the document, or what people see."""
    if as_json:
        head = {"stage": store.stage.name, "bucket": store.bucket}
        typer.echo(tables.to_json(head | document))
        return
    target = output()
    for item in shown:
        if item is not None:
            target.print(item, highlight=False, soft_wrap=isinstance(item, str | Text))


def tell(store: StageStore, as_json: bool, outcome: Outcome, verb: str, **more: str | None) -> None:
    """What a name stands for now, and what there is to say about that."""
    entry = outcome.entry
    reference = escape(f"{entry.name}@{entry.revision}")
    if not outcome.changed:
        told = f"[green]✓[/] unchanged: it is {reference} already"
    else:
        told = f"[green]✓[/] {verb}: {reference}"
        told += f", replaces {outcome.replaced}" if outcome.replaced else ""
    document = {
        "outcome": verb.replace(" ", "-") if outcome.changed else "unchanged",
        "replaced": outcome.replaced,
        "entry": entry,
        **more,
    }
    note = more.get("note")
    show_either(store, as_json, document, told, Text(note) if note else None)


def count_of(count: int) -> str:
    """So many adapters, in words."""
    return f"{count} adapter" + ("" if count == 1 else "s")


def warn(as_json: bool, warning: str | None) -> None:
    """A warning, if there is one; programs find it in the document."""
    if warning is not None and not as_json:
        errors.print(f"[yellow]![/] {escape(warning)}")


@contextmanager
def progress_of(title: str, total: int, as_json: bool) -> Iterator[Callable[[int], None]]:
    """A bar of bytes on a terminal's standard error; gives what to tell the bytes to."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    hidden = as_json or not errors.is_terminal
    with Progress(*columns, console=errors, transient=True, disable=hidden) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)
