"""Publishing a set of changes to the registry: all of them, or none.

The objects of every revision must be in the bucket, complete and checked, before this is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from adapters.store.layout import RegistryEntry
from adapters.store.registry import AdapterRegistry, PublishConflict, Published

#: Entries written in parallel: each is one small request.
PARALLEL_WRITES = 16
#: The owner of an adapter that was published with the command line.
BY_HAND = "by-hand"


@dataclass(frozen=True)
class Change:
    """A name's entry before the change, as the caller read it, and after; None is not published."""

    before: Published | None
    after: RegistryEntry | None

    @property
    def name(self) -> str:
        """The name; a change has at least one of the two entries."""
        entry = self.after or self.original
        assert entry is not None  # noqa: S101 — a change has an entry before or after
        return entry.name

    @property
    def original(self) -> RegistryEntry | None:
        """The entry before."""
        return self.before.entry if self.before is not None else None

    @property
    def is_one(self) -> bool:
        """True if the entries before and after differ."""
        return self.original != self.after

    @property
    def superseded(self) -> str | None:
        """The prefix of the revision that the name no longer points to; None if it keeps its revision."""
        if self.before is None or (self.after and self.after.revision == self.before.entry.revision):
            return None
        return self.before.entry.prefix

    @property
    def introduced(self) -> str | None:
        """The prefix of the revision that the name newly points to; None if it keeps its revision."""
        if self.after is None or (self.before and self.before.entry.revision == self.after.revision):
            return None
        return self.after.prefix


def publish(
    registry: AdapterRegistry,
    changes: Iterable[Change],
    originals: Mapping[str, RegistryEntry | None] | None = None,
) -> dict[str, Published]:
    """Write every change whose entries differ, and return the entries written, by name.

    If a name has changed since the caller read it, the written entries are rolled back and `PublishConflict`
    is raised. `originals` are the entries before an earlier call, which wrote some of these changes and was
    interrupted: they are restored, too. Any other error leaves the written entries, and the next call
    continues.
    """
    changes = list(changes)
    needed = [change for change in changes if change.is_one]

    def write(change: Change) -> Published | PublishConflict | None:
        try:
            return _write(registry, change)
        except PublishConflict as conflict:
            return conflict

    with ThreadPoolExecutor(PARALLEL_WRITES) as pool:
        results = list(pool.map(write, needed))
        conflicts = [result for result in results if isinstance(result, PublishConflict)]
        if conflicts:
            before = {change.name: change.original for change in needed} | dict(originals or {})
            ours = [change for change in changes if change.name in before]
            list(pool.map(lambda change: _roll_back(registry, change, before[change.name]), ours))
            raise conflicts[0]
    return {result.entry.name: result for result in results if isinstance(result, Published)}


def _write(registry: AdapterRegistry, change: Change) -> Published | None:
    if change.after is not None:
        return registry.put(change.after, change.before)
    if change.before is not None:
        registry.delete(change.before)
    return None


def _roll_back(registry: AdapterRegistry, change: Change, original: RegistryEntry | None) -> None:
    """Restore the entry of a name, unless it has changed since this process wrote it."""
    now = registry.get(change.name)
    if (now.entry if now is not None else None) != change.after:
        return
    # An entry that another publisher writes at this moment stays.
    with suppress(PublishConflict):
        if original is not None:
            registry.put(original, now)
        elif now is not None:
            registry.delete(now)
