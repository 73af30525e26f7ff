"""The command `adapters validate`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from loraserve.cli.adapters.options import Source, open_store
from loraserve.cli.options import AsJson


def command(context: typer.Context, source: Source, as_json: AsJson = False) -> None:
    """Check an adapter by the stage's rules, without publishing it.

    Example: python -m loraserve adapters validate samples/adapters/otter
    """
    from loraserve.adapters import check as checking
    from loraserve.cli.adapters import output, tables

    store = open_store(context)
    base = checking.read_base(store.stage)
    examined = checking.check(store, source, source, base)
    converted = examined.conversion
    facts = {
        "source": examined.files.source,
        "revision": examined.revision,
        "sha256": examined.sha256,
        "size": examined.files.weights.size,
        **asdict(examined.facts),
    }
    output.warn(as_json, base.warning)
    shown = facts | {"size": tables.size(examined.files.weights.size)}
    if converted is not None:
        shown |= tables.conversion(converted.file, converted.sha256 or "")
        facts |= {"converted_from": converted.file, "source_sha256": converted.sha256}
    shown["target_modules"] = ", ".join(examined.facts.target_modules)
    table = tables.facts({key.replace("_", " "): str(value) for key, value in shown.items()})
    document = {"valid": True, "warning": base.warning, **facts}
    output.show_either(store, as_json, document, "[green]✓[/] valid", table)
