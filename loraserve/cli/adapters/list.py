"""The command `adapters list`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from loraserve.cli.adapters.options import open_store
from loraserve.cli.options import AsJson


def command(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(help="Only names with this prefix.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the published adapters.

    Example: python -m loraserve adapters list team/
    """
    from loraserve.cli.adapters import output, tables

    store = open_store(context)
    published = store.list(prefix)
    rows = [asdict(listed.entry) | {"published": listed.published} for listed in published]
    table = tables.adapters(published, store.stack) if published else "no adapters are published here"
    output.show_either(store, as_json, {"adapters": rows}, table)
