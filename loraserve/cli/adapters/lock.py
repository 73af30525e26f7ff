"""The command `adapters lock`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from loraserve.cli.adapters.options import StoreOptions
from loraserve.cli.console import errors, report_interrupt


def command(
    context: typer.Context,
    giving: Annotated[
        str | None, typer.Option("--from", help="The stage that serves them; by default the group's --stage.")
    ] = None,
    taking: Annotated[
        str | None,
        typer.Option("--for", help="The stage that takes them; by default the one with promote_from: FROM."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="A name; may be repeated. By default all.")] = None,
    by_hand: Annotated[
        bool, typer.Option("--by-hand", help="Also lock adapters that were published by hand.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="The manifest to write; by default standard output.")
    ] = None,
) -> None:
    """Write a manifest of what a stage serves, for the next stage.

    Each is locked by the digest over its files, and taken from the store of the stage that serves it. Every
    byte is read back first; nothing is written if one of them is not as published.

    Example: python -m loraserve adapters lock --from dev --out stages/adapters/staging.lock.yaml
    """
    from loraserve.adapters import check as checking
    from loraserve.adapters.lock import lock_adapters, missing_access
    from loraserve.adapters.open_store import open_store, taking_stage
    from loraserve.adapters.verify import size_of
    from loraserve.cli.adapters import output

    options: StoreOptions = context.obj
    with report_interrupt("nothing is written"):
        store = open_store(giving or options.stage, options.bucket)
        taker = taking_stage(store.stage, taking)
        wanted = only or sorted(store.registry.etags())
        base = checking.read_base(store.stage)
        output.warn(False, base.warning)
        with output.progress_of("reading", size_of(store, wanted), False) as moved:
            lock = lock_adapters(
                store,
                names=only or (),
                by_hand=by_hand,
                base=base.facts,
                target=None if taker is None else checking.model_identity(taker[1], store.stage.directory),
                moved=moved,
            )
        if out is None:
            typer.echo(lock.text, nl=False)
        else:
            out.write_text(lock.text)
            errors.print(f"[green]✓[/] {output.count_of(len(lock.entries))} locked in {escape(str(out))}")
        if taker is not None:
            name, config = taker
            for lack in missing_access(store.stage, config, lock.kms_key):
                output.warn(False, f"stage {name!r}: {lack}")
