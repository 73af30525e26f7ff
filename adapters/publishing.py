"""Changing what is published: all of a set of changes, or none.

The objects of every revision must lie in the bucket, complete and checked, before this is called.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from adapters.registry import PublishConflict, Published, Registry
from adapters.store import RegistryEntry

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
    def is_one(self) -> bool:
        """Whether before and after differ."""
        return (self.before and self.before.entry) != self.after

    @property
    def superseded(self) -> str | None:
        """The prefix of the revision that the name no longer stands for."""
        if self.before is None or (self.after and self.after.revision == self.before.entry.revision):
            return None
        return self.before.entry.prefix


def publish(registry: Registry, changes: Iterable[Change]) -> dict[str, Published]:
    """Write every change that is one, and return the entries written, by name.

    If a name has changed since the caller looked, what was written is taken back and `PublishConflict` is
    raised.
    """
    needed = [change for change in changes if change.is_one]
    written: list[tuple[Change, Published | None]] = []

    def write(change: Change) -> PublishConflict | None:
        try:
            written.append((change, _write(registry, change)))
        except PublishConflict as conflict:
            return conflict
        return None

    with ThreadPoolExecutor(PARALLEL_WRITES) as pool:
        conflicts = [conflict for conflict in pool.map(write, needed) if conflict is not None]
        if conflicts:
            list(pool.map(lambda pair: _take_back(registry, *pair), written))
            raise conflicts[0]
    return {now.entry.name: now for _, now in written if now is not None}


def _write(registry: Registry, change: Change) -> Published | None:
    if change.after is not None:
        return registry.put(change.after, change.before)
    if change.before is not None:
        registry.delete(change.before)
    return None


def _take_back(registry: Registry, change: Change, now: Published | None) -> None:
    # Where somebody else has written after us, theirs stays.
    with suppress(PublishConflict):
        if change.before is not None:
            registry.put(change.before.entry, now)
        elif now is not None:
            registry.delete(now)
