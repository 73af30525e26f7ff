"""The command `adapters show`."""

from __future__ import annotations

import typer

from loraserve.cli.adapters.options import Name, open_store
from loraserve.cli.options import AsJson


def command(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show an adapter's facts, files and earlier revisions.

    Example: python -m loraserve adapters show otter
    """
    from loraserve.adapters.rollback import history
    from loraserve.cli.adapters import output, tables

    store = open_store(context)
    published, past = store.published(name), history(store, name)
    if published is None and not past:
        raise store.unknown(name)
    entry = published.entry if published else None
    stored = store.revision(name, entry.revision) if entry else None
    retired = stored is not None and store.retention.is_retired(stored.prefix)
    document = {
        "name": name,
        "entry": entry,
        "reference": f"{name}@{entry.revision}" if entry else None,
        "engine_id": entry.prefix if entry else None,
        "complete": stored is not None and stored.is_complete,
        "retired": retired,
        "objects": stored.objects if stored else {},
        "history": [
            {"since": seen.version.since, "entry": seen.version.entry, "complete": seen.is_complete}
            for seen in past
        ],
    }
    about = tables.adapter(entry, stored, retired=retired, rules=store.rules)
    output.show_either(store, as_json, document, about, "", tables.history(past))
