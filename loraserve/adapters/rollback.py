"""Changing the revision that a name points to: rollback, removal, and the owner of a name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapters.errors import AdapterError
from adapters.names import check_revision
from adapters.store.layout import RegistryEntry
from adapters.store.publishing import BY_HAND, Change, publish
from adapters.store.registry import EntryVersion, PublishConflict, Published
from loraserve.adapters.stage_store import StageStore


class NoRevision(AdapterError):
    """A revision that a name cannot be rolled back to."""


@dataclass(frozen=True)
class PublishResult:
    """The revision that a name points to after a publication or a rollback."""

    entry: RegistryEntry
    replaced: str | None
    """The previous revision, None if there was none."""
    changed: bool


@dataclass(frozen=True)
class PastVersion:
    """An earlier version of a registry entry, and whether it can be restored."""

    version: EntryVersion
    is_complete: bool
    """True if the bucket has all of the revision's objects."""


def history(store: StageStore, name: str) -> list[PastVersion]:
    """Return all versions of a name's entry, newest first, the current one included."""
    versions = list(store.registry.history(name))
    revisions = {version.entry.revision for version in versions if version.entry is not None}
    there = {revision for revision in revisions if store.revision(name, revision).is_complete}
    return [
        PastVersion(version, version.entry is not None and version.entry.revision in there)
        for version in versions
    ]


def rollback(store: StageStore, name: str, to: str | None = None) -> PublishResult:
    """Point a name to an earlier revision: to `to`, or to the last one other than the current one.

    The name keeps its labels and limits. A removed name is published again, with the last ones. Raises
    `NoRevision` or `PublishConflict`.
    """
    before = store.published(name)
    now = before.entry if before else None
    if now is not None and to == now.revision:
        return PublishResult(now, None, changed=False)
    entry = wanted_entry(store, name, now, check_revision(name, to) if to else None)
    if now is not None:
        entry = replace(entry, owner=now.owner, **declared(now))
    _point(store, before, entry)
    return PublishResult(entry, now.revision if now else None, changed=True)


def declared(entry: RegistryEntry) -> dict[str, Any]:
    """Return the fields of an entry that belong to the name, whichever revision it points to."""
    return {"labels": entry.labels, "limits": entry.limits, "tenant_limits": entry.tenant_limits}


def wanted_entry(store: StageStore, name: str, now: RegistryEntry | None, to: str | None) -> RegistryEntry:
    """Return the newest entry of a name with the revision `to`, or with another one than `now`.

    Raises `NoRevision` if there is none, or if its files are gone; `UnknownAdapter` for an unknown name.
    """
    past = history(store, name)
    if now is None and not any(seen.version.entry for seen in past):
        raise store.unknown(name)
    return _wanted(name, past, now, to)


def remove(store: StageStore, name: str) -> RegistryEntry:
    """Unpublish a name and retire its revision; returns its last entry. Raises `PublishConflict`."""
    before = store.get(name)
    publish(store.registry, [Change(before, None)])
    store.retention.retire(before.entry.prefix)
    return before.entry


def refuse_stack_owned(store: StageStore, entry: RegistryEntry) -> None:
    """Raise `PublishConflict` if a stack owns the name: its next deployment would undo the publication."""
    if entry.owner != BY_HAND:
        raise PublishConflict(
            entry.name,
            f"it belongs to the stack {entry.owner}, whose manifest decides over it",
            f"change {_manifest(store, entry)} and deploy, or publish under another name",
        )


def ownership_note(store: StageStore, entry: RegistryEntry, *, removed: bool = False) -> str | None:
    """Return how to make a change of a stack's name permanent; None if no stack owns the name."""
    if entry.owner == BY_HAND:
        return None
    manifest = _manifest(store, entry)
    if removed:
        stay = f"take it out of {manifest}"
    elif entry.source.startswith("asset://"):
        # The manifest names a directory; its earlier content is only in the bucket.
        stay = (
            f"put these files back into its directory in {manifest}: "
            f"aws s3 cp --recursive s3://{store.bucket}/{entry.prefix} DIRECTORY"
        )
    else:
        stay = f"pin it in {manifest}: source: {entry.source}"
    return (
        f"{entry.name} belongs to the stack {entry.owner}: the next deploy with a changed manifest sets it "
        f"again. To make it stay, {stay}"
    )


def _manifest(store: StageStore, entry: RegistryEntry) -> str:
    if entry.owner != store.stack:
        return "that stack's manifest"
    path = (store.stage.directory / store.stage.config.adapters).resolve()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _wanted(
    name: str, past: Iterable[PastVersion], now: RegistryEntry | None, to: str | None
) -> RegistryEntry:
    """Return the newest entry with the wanted revision; raises `NoRevision` if its objects are gone."""
    others = [
        (seen.version.entry, seen.is_complete)
        for seen in past
        if seen.version.entry is not None and not (now and seen.version.entry.revision == now.revision)
    ]
    possible = list(dict.fromkeys(entry.revision for entry, is_complete in others if is_complete))
    remedy = f"it can be rolled back to {', '.join(possible)}" if possible else "publish it again"
    for entry, is_complete in others:
        if to in {None, entry.revision}:
            if is_complete:
                return entry
            problem = f"the files of revision {entry.revision} are no longer in the bucket"
            raise NoRevision(name, problem, remedy)
    if to is not None:
        raise NoRevision(name, f"it never stood for revision {to}, as far back as is known", remedy)
    raise NoRevision(name, "it stood for no other revision, as far back as is known", remedy)


def _point(store: StageStore, before: Published | None, entry: RegistryEntry) -> None:
    change = Change(before, entry)
    written = publish(store.registry, [change])
    store.retention.revive(entry.prefix)
    # A gc may have deleted the revision since it was checked. From the write on, none does.
    if not store.revision(entry.name, entry.revision).is_complete:
        back = before.entry if before else None
        publish(store.registry, [Change(written[entry.name], back)])
        raise NoRevision(
            entry.name, f"the files of revision {entry.revision} have just been deleted", "try another one"
        )
    if change.superseded is not None:
        store.retention.retire(change.superseded)
