"""Changing what is published: all of a set of changes, or none.

The objects of every revision must lie in the bucket, complete and checked, before this is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from adapters.store.layout import RegistryEntry
from adapters.store.registry import PublishConflict, Published, Registry

#: Entries written at once: each is one small request.
PARALLEL_WRITES = 16
#: The owner of what people publish with the command line.
BY_HAND = "by-hand"


@dataclass(frozen=True)
class Change:
    """What a name stands for before, as the caller saw it, and after; None is not published."""

    before: Published | None
    after: RegistryEntry | None

    @property
    def name(self) -> str:
        """The name; a change has at least one of both."""
        entry = self.after or self.original
        assert entry is not None  # noqa: S101 — nothing before and nothing after is no change
        return entry.name

    @property
    def original(self) -> RegistryEntry | None:
        """The entry before."""
        return self.before.entry if self.before is not None else None

    @property
    def is_one(self) -> bool:
        """Whether before and after differ."""
        return self.original != self.after

    @property
    def superseded(self) -> str | None:
        """The prefix of the revision that the name no longer stands for."""
        if self.before is None or (self.after and self.after.revision == self.before.entry.revision):
            return None
        return self.before.entry.prefix

    @property
    def introduced(self) -> str | None:
        """The prefix of the revision that the name did not stand for before."""
        if self.after is None or (self.before and self.before.entry.revision == self.after.revision):
            return None
        return self.after.prefix


def publish(
    registry: Registry,
    changes: Iterable[Change],
    originals: Mapping[str, RegistryEntry | None] | None = None,
) -> dict[str, Published]:
    """Write every change that is one, and return the entries written, by name.

    If a name has changed since the caller looked, what was written is taken back and `PublishConflict` is
    raised. `originals` are what names stood for before an earlier call wrote some of these changes and was
    cut off: they are taken back, too. Any other error leaves what is written, for the next call to go on.
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
            list(pool.map(lambda change: _take_back(registry, change, before[change.name]), ours))
            raise conflicts[0]
    return {result.entry.name: result for result in results if isinstance(result, Published)}


def _write(registry: Registry, change: Change) -> Published | None:
    if change.after is not None:
        return registry.put(change.after, change.before)
    if change.before is not None:
        registry.delete(change.before)
    return None


def _take_back(registry: Registry, change: Change, original: RegistryEntry | None) -> None:
    """Restore what a name stood for, where it is as we have written it."""
    now = registry.get(change.name)
    if (now.entry if now is not None else None) != change.after:
        return
    # Where somebody else writes at this moment, theirs stays.
    with suppress(PublishConflict):
        if original is not None:
            registry.put(original, now)
        elif now is not None:
            registry.delete(now)
