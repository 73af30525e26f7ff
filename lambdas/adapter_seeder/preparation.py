"""Phase one of a seeding: for every name of the manifest a revision in the bucket, and its entry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from adapters.errors import AdapterError
from adapters.source import S3Source, SourceError
from adapters.store.layout import RegistryEntry
from adapters.store.registry import PublishConflict
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.check_adapter import Rules
from ingest.candidate import Examined, examine
from ingest.locator import Locator
from ingest.upload import Revisions
from lambdas.adapter_seeder.checkpoint import Record
from lambdas.adapter_seeder.desired_state import DesiredAdapter
from lambdas.adapter_seeder.progress import Tracker
from lambdas.adapter_seeder.thread_pool import Workers

#: Adapters of one content, which is examined and transferred once.
Group = list[DesiredAdapter]


class Preparation:
    """Examines what is not known, then brings it into the bucket; in this order, for all adapters."""

    def __init__(
        self,
        adapters: Sequence[DesiredAdapter],
        *,
        owner: str,
        rules: Rules,
        base_revision: str,
        record: Record,
        locator: Locator,
        revisions: Revisions,
        facts: Callable[[], BaseModelFacts | None],
        tracker: Tracker,
    ) -> None:
        """`record` holds what was published before, and is told what is ready now.

        `base_revision` tells one state of the base model from another; `facts` is called when it is needed.
        """
        self._adapters = adapters
        self._owner = owner
        self._rules = rules
        self._base_revision = base_revision
        self._record = record
        self._locator = locator
        self._revisions = revisions
        self._facts = facts
        self._tracker = tracker
        self._known_entries: dict[str, RegistryEntry] = {}
        self._donors: dict[str, RegistryEntry] = {}
        """By source: an entry whose revision in the bucket is what the source holds."""
        self._examined: list[tuple[Group, Examined | None]] = []

    def examine(self, workers: Workers) -> None:
        """Find and check every adapter that is not known; nothing is transferred yet."""
        workers.map(self._check_owner, self._adapters)
        known = workers.map(self._known, self._adapters)
        self._known_entries = {entry.name: entry for entry in known if entry is not None}
        self._tracker.count(ready=len(self._known_entries))
        groups: dict[object, Group] = defaultdict(list)
        for adapter in self._adapters:
            if adapter.name not in self._known_entries:
                groups[(adapter.source, adapter.sha256)].append(adapter)
        examined = workers.map(self._examine_once, groups.values())
        self._examined = list(zip(groups.values(), examined, strict=True))

    def put(self, workers: Workers) -> list[RegistryEntry]:
        """Bring what was examined into the bucket; returns the entry of every adapter."""
        firsts = workers.map(lambda pair: self._put(*pair), self._examined)
        copies = [
            (group[0], adapter, found)
            for (group, _), (found, _) in zip(self._examined, firsts, strict=True)
            for adapter in group[1:]
        ]
        others = workers.map(lambda copy: self._copy(*copy), copies)
        new = [entry for _, entry in firsts] + others
        entries = self._known_entries | {entry.name: entry for entry in new}
        return [entries[adapter.name] for adapter in self._adapters]

    def _check_owner(self, adapter: DesiredAdapter) -> None:
        published = self._record.registry.get(adapter.name)
        if published is not None and published.entry.owner != self._owner:
            raise PublishConflict(
                adapter.name,
                f"the name is published by {published.entry.owner!r}",
                "remove it there, or choose another name",
            )

    def _known(self, adapter: DesiredAdapter) -> RegistryEntry | None:
        """The adapter's entry, if it was examined before by the same rules and its objects are there."""
        published = self._record.registry.get(adapter.name)
        candidates = [self._record.ready.get(adapter.name), published.entry if published else None]
        for entry in candidates:
            if (
                entry is not None
                and self._revisions.is_complete(entry.prefix)
                and self._holds(entry, adapter)
            ):
                self._donors[entry.source] = entry
                if entry.checked_for == self._rules.checked_for(self._base_revision):
                    return replace(entry, owner=self._owner, labels=adapter.labels)
        return None

    def _holds(self, entry: RegistryEntry, adapter: DesiredAdapter) -> bool:
        """Whether an entry's content is what the adapter's source holds now."""
        source = self._locator.pinned(adapter.source)
        return (
            entry.source == str(source)
            and adapter.sha256 in {None, entry.sha256}
            and (not isinstance(source, S3Source) or entry.source_version == self._locator.version(source))
        )

    def _examine_once(self, group: Group) -> Examined | None:
        """Examine, unless an earlier invocation has: so that even the checks of thousands come to an end."""
        key = f"{self._locator.pinned(group[0].source)} {group[0].sha256}"
        if key in self._record.passed:
            return None
        examined = self._examine(group)
        self._record.passed[key] = True
        return examined

    def _examine(self, group: Group) -> Examined:
        adapter = group[0]
        donor = self._donors.get(str(self._locator.pinned(adapter.source)))
        with _named(group):
            if donor is not None and adapter.sha256 in {None, donor.sha256}:
                located = self._locator.stored(donor)
            else:
                located = self._locator.locate(adapter.source)
            examined = examine(adapter.name, located, self._rules, self._facts(), adapter.sha256)
        self._tracker.count(examined=1)
        return examined

    def _put(self, group: Group, examined: Examined | None) -> tuple[Examined, RegistryEntry]:
        found = examined or self._examine(group)
        with _named(group):
            self._revisions.put(group[0].name, found)
        return found, self._ready(group[0], found)

    def _copy(self, first: DesiredAdapter, adapter: DesiredAdapter, examined: Examined) -> RegistryEntry:
        self._revisions.copy(first.name, adapter.name, examined)
        return self._ready(adapter, examined)

    def _ready(self, adapter: DesiredAdapter, examined: Examined) -> RegistryEntry:
        entry = examined.entry(
            adapter.name,
            base_model=self._rules.base_model,
            checked_for=self._rules.checked_for(
                self._base_revision, dimensions_known=self._facts() is not None
            ),
            owner=self._owner,
            labels=adapter.labels,
        )
        self._record.ready[adapter.name] = entry
        self._tracker.count(ready=1)
        return entry


@contextmanager
def _named(group: Group) -> Iterator[None]:
    """Say of a source that cannot be read whose it is."""
    try:
        yield
    except SourceError as error:
        others = f" and {len(group) - 1} more" if len(group) > 1 else ""
        problem = f"{error.adapter}: {error.problem}"
        raise AdapterError(group[0].name + others, problem, error.remedy) from error
