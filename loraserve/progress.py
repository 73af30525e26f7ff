"""Progress bars for the steps of a command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from loraserve.cdk import OnEvent
from loraserve.verbosity import is_quiet

#: Characters of a program's line of output; the rest of a terminal's line is for the bar.
_SHOWN = 70


@contextmanager
def waiting(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Show a text beside a spinner in the block, not with `--quiet`; yields a function that replaces it."""
    if is_quiet():
        yield lambda _: None
        return
    with console.status(text) as status:
        yield status.update


@contextmanager
def step(console: Console, title: str) -> Iterator[Progress]:
    """Show a named step with its running time; more bars can be added to the yielded `Progress`."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=is_quiet()) as progress:
        task = progress.add_task(title, total=None)
        yield progress
        seconds = progress.tasks[task].elapsed or 0.0
    if not is_quiet():
        console.print(f"[green]✓[/] {title} [dim]{seconds:.1f} s[/]")


def last_line(progress: Progress) -> Callable[[str], None]:
    """Add a bar for the output of a program; returns the callback for its lines."""
    task = progress.add_task("  …", total=None)

    def show(line: str) -> None:
        # Square brackets are markup to rich.
        progress.update(task, description=escape(f"  {line[:_SHOWN]}"))

    return show


@contextmanager
def stack_progress(console: Console, title: str) -> Iterator[OnEvent]:
    """Show a step with a bar for each stack; yields the callback for `loraserve.cdk.cdk`."""
    with step(console, title) as progress:
        tasks: dict[str, TaskID] = {}

        def on_event(stack: str, done: int, total: int, resource_type: str) -> None:
            if stack not in tasks:
                tasks[stack] = progress.add_task(stack, total=None)
            short = resource_type.removeprefix("AWS::")
            progress.update(
                tasks[stack], completed=done, total=total or None, description=f"  {stack}: {short}"
            )

        yield on_event
