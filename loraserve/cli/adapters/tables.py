"""Tables for people and one JSON document for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any, Literal

from rich import filesize
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from adapters.limits import pairs
from adapters.store.layout import RegistryEntry
from adapters.validation.rules import DIMENSIONS_UNKNOWN, Rules
from loraserve.adapters.compare import ServedDifference
from loraserve.adapters.garbage_collection import Action
from loraserve.adapters.rollback import PastVersion, PublishResult
from loraserve.adapters.stage_store import PublishedAdapter, Revision
from loraserve.adapters.verify import StoreFinding

#: A commit or a digest; tables show its first seven digits.
_DIGEST = re.compile(r"\b([0-9a-f]{7})[0-9a-f]{33,}\b")
_DONE = {"retire": "retired", "revive": "revived", "delete": "deleted", "abort": "aborted"}


def to_json(document: Mapping[str, Any]) -> str:
    """Return one JSON document; dataclasses become objects, times ISO 8601."""
    return json.dumps(document, indent=1, default=_plain)


def size(count: int) -> str:
    """Format a count of bytes, e.g. `59.4 kB`."""
    return filesize.decimal(count)


def when(time: datetime) -> str:
    """Format a time in the local time zone, to the minute."""
    return f"{time.astimezone():%Y-%m-%d %H:%M}"


def adapters(listed: Sequence[PublishedAdapter], stack: str) -> Table:
    """Make the table of published adapters; an owner equal to `stack` is shown as `manifest`."""
    labels = ["labels"] if any(found.entry.labels for found in listed) else []
    limits = ["limits"] if any(found.entry.limits for found in listed) else []
    table = _table("name", "revision", "rank", "size", "published", "owner", "source", *labels, *limits)
    for found in listed:
        entry = found.entry
        owner = "manifest" if entry.owner == stack else entry.owner
        table.add_row(
            Text(entry.name), entry.revision, str(entry.rank), size(entry.size),
            f"{found.published.astimezone():%Y-%m-%d}", Text(owner), Text(short_source(entry.source)),
            *([Text(pairs(entry.labels))] if labels else []),
            *([Text(pairs(entry.limits))] if limits else []),
        )  # fmt: skip
    return table


def adapter(entry: RegistryEntry | None, stored: Revision | None, *, retired: bool, rules: Rules) -> Table:
    """Make the table of one adapter's facts."""
    if entry is None or stored is None:
        return facts({"published": "no; the command rollback restores the last revision"})
    return facts(
        {
            "reference": f"{entry.name}@{entry.revision}",
            "engine id": entry.prefix,
            "base model": entry.base_model,
            "rank": str(entry.rank),
            "weights": f"{size(entry.size)}, sha256 {entry.sha256}",
            "source": entry.source,
            **conversion(entry.converted_from, entry.source_sha256),
            "owner": entry.owner,
            "labels": pairs(entry.labels) or "none",
            **({"limits": pairs(entry.limits)} if entry.limits else {}),
            **({"of its tenant": pairs(entry.tenant_limits)} if entry.tenant_limits else {}),
            "checked": _checked(entry, rules),
            "files": _files(stored, retired=retired),
        }
    )


def conversion(file: str, sha256: str) -> dict[str, str]:
    """Return the row about the file that an adapter's weights were converted from; none if they were not."""
    return {"converted": f"from {file}, sha256 {sha256}"} if file else {}


def history(past: Sequence[PastVersion]) -> Table:
    """Make the table of the revisions that a name has pointed to, newest first."""
    table = _table("since", "revision", "files", "source")
    for seen in past:
        entry, since = seen.version.entry, when(seen.version.since)
        if entry is None:
            table.add_row(since, "removed", "", "")
        else:
            there = "in the bucket" if seen.is_complete else "deleted"
            table.add_row(since, entry.revision, there, Text(short_source(entry.source)))
    return table


def facts(rows: Mapping[str, str]) -> Table:
    """Make a table of named values, one per row."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value))
    return table


def findings(found: Sequence[StoreFinding]) -> Table:
    """Make the table of the findings of `verify`."""
    table = _table("name", "revision", "problem", "remedy")
    for finding in found:
        table.add_row(Text(finding.name), finding.revision, Text(finding.problem), Text(finding.remedy))
    return table


def rolled_back(results: Sequence[PublishResult]) -> Table:
    """Make the table of names that point to an earlier revision again."""
    table = _table("name", "revision", "replaces")
    for result in results:
        table.add_row(Text(result.entry.name), result.entry.revision, result.replaced or "–")
    return table


def served_differences(found: Sequence[ServedDifference], giving: str, taking: str) -> Table:
    """Make the table of the differences between two stages."""
    table = _table("name", giving, taking, f"in the manifest of {taking}")
    for each in found:
        table.add_row(
            Text(each.name), each.giving or "–", each.taking or "–", "yes" if each.is_declared else "no"
        )
    return table


def actions(done: Sequence[Action], retention_days: int, *, dry_run: bool) -> RenderableType:
    """Make the table of a garbage collection: its actions, done or planned, and the bytes that it frees."""
    if not done:
        return "nothing to clean up"
    table = _table("would" if dry_run else "done", "what", "size", "why")
    for action in done:
        table.add_row(
            action.kind if dry_run else _DONE[action.kind],
            Text(action.key),
            size(action.size) if action.size else "",
            action.reason,
        )
    would = "to be " if dry_run else ""
    at_once = sum(action.size for action in done if action.kind == "abort")
    at_last = sum(action.size for action in done if action.kind == "delete")
    lines = [f"{size(at_once)} {would}freed"] if at_once else []
    if at_last:
        lines.append(f"{size(at_last)} {would}freed in {retention_days} days, with the old versions")
    return Group(table, *lines)


def short_source(source: str) -> str:
    """Shorten the digests in a source to seven digits."""
    return _DIGEST.sub(lambda match: f"{match[1]}…", source)


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in {"rank", "size"} else "left"
        # On a narrow terminal, texts are wrapped or cut before names and figures are.
        is_cut = column in {"source", "labels", "limits"}
        whole = not is_cut and column not in {"problem", "remedy", "what", "why"}
        overflow: Literal["fold", "ellipsis"] = "ellipsis" if is_cut else "fold"
        table.add_column(column, justify=justify, overflow=overflow, no_wrap=whole)
    return table


def _checked(entry: RegistryEntry, rules: Rules) -> str:
    by = (
        "the stage's rules"
        if entry.checked_for.startswith(rules.identity)
        else "other rules than the stage's now"
    )
    missing = entry.checked_for.endswith(DIMENSIONS_UNKNOWN)
    return f"by {by}" + (", without the base model's dimensions" if missing else "")


def _files(stored: Revision, *, retired: bool) -> str:
    if not stored.is_complete:
        return "NOT COMPLETE: the command verify says what is missing"
    return "all there" + (", but MARKED RETIRED: the command gc removes the mark" if retired else "")


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not for JSON")
