"""The command `adapters verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from loraserve.cli.adapters.options import open_store
from loraserve.cli.console import report_interrupt
from loraserve.cli.options import AsJson


def command(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="By default all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the files of published adapters with the registry.

    Every byte is read back, and every adapter is checked by the stage's rules. Exit code 1 on a difference.

    Example: python -m loraserve adapters verify otter heron
    """
    from loraserve.adapters import check as checking
    from loraserve.adapters.verify import size_of, verify
    from loraserve.cli.adapters import output, tables

    with report_interrupt("nothing was changed"):
        store = open_store(context)
        for name in names or ():
            store.get(name)
        wanted = list(dict.fromkeys(names)) if names else sorted(store.registry.etags())
        size = size_of(store, wanted)
        base = checking.read_base(store.stage)
        output.warn(as_json, base.warning)
        with output.progress_of("reading", size, as_json) as moved:
            found = verify(store, wanted, base.facts, moved)
        bad = len({finding.name for finding in found})
        verdict = (
            f"[red]✗[/] {bad} of {output.count_of(len(wanted))} not as published, or not valid"
            if found
            else f"[green]✓[/] {output.count_of(len(wanted))}, {tables.size(size)}: all as published"
        )
        document = {"checked": len(wanted), "warning": base.warning, "findings": found}
        output.show_either(store, as_json, document, tables.findings(found) if found else None, verdict)
        if found:
            raise typer.Exit(1)
