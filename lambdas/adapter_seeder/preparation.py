"""Phase one of a seeding: a revision in the bucket for every name of the manifest, and its entry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from adapters.errors import AdapterError
from adapters.source import S3Source, SourceError
from adapters.store.layout import RegistryEntry, adapter_prefix, revision_of
from adapters.store.registry import PublishConflict
from adapters.validation.rules import Rules
from ingest.adapter_files import AdapterFiles
from ingest.candidate import Candidate, check_candidate
from ingest.locator import Locator
from ingest.upload import Uploader
from lambdas.adapter_seeder.checkpoint import Checkpoint
from lambdas.adapter_seeder.desired_state import DesiredAdapter
from lambdas.adapter_seeder.progress import Progress
from lambdas.adapter_seeder.served_model import ServedModel
from lambdas.adapter_seeder.thread_pool import ThreadPool

#: Adapters of one content, which is checked and uploaded once.
Group = list[DesiredAdapter]


class Preparation:
    """Checks every adapter that is not known, and only then uploads the first of them."""

    def __init__(
        self,
        adapters: Sequence[DesiredAdapter],
        *,
        owner: str,
        rules: Rules,
        base_model: ServedModel,
        checkpoint: Checkpoint,
        locator: Locator,
        uploader: Uploader,
        progress: Progress,
    ) -> None:
        """`checkpoint` has the entries that are published, and gets those that are ready."""
        self._adapters = adapters
        self._owner = owner
        self._rules = rules
        self._base_model = base_model
        self._checkpoint = checkpoint
        self._locator = locator
        self._uploader = uploader
        self._progress = progress
        self._known_entries: dict[str, RegistryEntry] = {}
        self._donors: dict[str, RegistryEntry] = {}
        """By source: an entry whose revision in the bucket has the content of the source."""
        self._checked: list[tuple[Group, Candidate | None]] = []

    def check(self, pool: ThreadPool) -> None:
        """Locate and check every adapter that is not known; nothing is uploaded yet."""
        pool.map(self._check_owner, self._adapters)
        known = pool.map(self._known, self._adapters)
        self._known_entries = {entry.name: entry for entry in known if entry is not None}
        self._progress.count(ready=len(self._known_entries))
        groups: dict[object, Group] = defaultdict(list)
        for adapter in self._adapters:
            if adapter.name not in self._known_entries:
                groups[(adapter.source, adapter.sha256, adapter.digest)].append(adapter)
        if groups:
            self._base_model.read(pool)
        checked = pool.map(self._check_once, groups.values())
        self._checked = list(zip(groups.values(), checked, strict=True))

    def upload(self, pool: ThreadPool) -> list[RegistryEntry]:
        """Upload what was checked; return the entry of every adapter."""
        firsts = pool.map(lambda pair: self._upload(*pair), self._checked)
        copies = [
            (group[0], adapter, candidate)
            for (group, _), (candidate, _) in zip(self._checked, firsts, strict=True)
            for adapter in group[1:]
        ]
        others = pool.map(lambda copy: self._copy(*copy), copies)
        new = [entry for _, entry in firsts] + others
        entries = self._known_entries | {entry.name: entry for entry in new}
        return [entries[adapter.name] for adapter in self._adapters]

    def _check_owner(self, adapter: DesiredAdapter) -> None:
        published = self._checkpoint.registry.get(adapter.name)
        if published is not None and published.entry.owner != self._owner:
            raise PublishConflict(
                adapter.name,
                f"the name is published by {published.entry.owner!r}",
                "remove it there, or choose another name",
            )

    def _known(self, adapter: DesiredAdapter) -> RegistryEntry | None:
        """Return the adapter's entry, if it was checked by the same rules and its objects are there."""
        published = self._checkpoint.registry.get(adapter.name)
        entries = [self._checkpoint.ready.get(adapter.name), published.entry if published else None]
        for entry in entries:
            if (
                entry is not None
                and self._uploader.is_complete(entry.prefix)
                and self._matches(entry, adapter)
            ):
                self._donors[entry.source] = entry
                if entry.checked_for == self._rules.checked_for(self._base_model.revision):
                    return replace(
                        entry,
                        owner=self._owner,
                        labels=adapter.labels,
                        origin=adapter.origin,
                        limits=adapter.limits,
                        tenant_limits=adapter.tenant_limits,
                    )
        return None

    def _matches(self, entry: RegistryEntry, adapter: DesiredAdapter) -> bool:
        """Return whether an entry's revision has the content that the adapter's source has now."""
        if not entry.sha256 or adapter.digest not in {None, entry.digest}:
            return False
        source = self._locator.pinned(adapter.source)
        if isinstance(source, S3Source) and adapter.digest is not None:
            # The revision is what was locked, whatever the source has become.
            return True
        return (
            entry.source == str(source)
            and adapter.sha256 in {None, entry.stated_sha256}
            and (not isinstance(source, S3Source) or entry.source_version == self._locator.version(source))
        )

    def _check_once(self, group: Group) -> Candidate | None:
        """Check a group, unless an earlier invocation has: the checks of thousands may need several."""
        first = group[0]
        key = " ".join(
            str(part)
            for part in (self._locator.pinned(first.source), first.sha256, first.digest)
            if part is not None
        )
        if key in self._checkpoint.passed:
            return None
        candidate = self._check(group)
        self._checkpoint.passed[key] = True
        return candidate

    def _check(self, group: Group) -> Candidate:
        adapter = group[0]
        with _naming(group):
            files = self._files(adapter)
            facts = self._base_model.facts()
            candidate = check_candidate(
                adapter.name, files, self._rules, facts, adapter.sha256, adapter.digest
            )
        self._progress.count(examined=1)
        return candidate

    def _files(self, adapter: DesiredAdapter) -> AdapterFiles:
        """Return an adapter's files: from the store if it has them, else from the source."""
        donor = self._donors.get(str(self._locator.pinned(adapter.source)))
        if (
            donor is not None
            and adapter.sha256 in {None, donor.stated_sha256}
            and adapter.digest in {None, donor.digest}
        ):
            return self._locator.stored(donor)
        if (
            adapter.digest is not None
            and isinstance(adapter.source, S3Source)
            and self._uploader.is_complete(adapter_prefix(adapter.name, revision_of(adapter.digest)))
        ):
            # A rollback to an earlier lock does not depend on the store that the revision once came from.
            return self._locator.revision(adapter.name, adapter.digest)
        return self._locator.locate(adapter.source)

    def _upload(self, group: Group, candidate: Candidate | None) -> tuple[Candidate, RegistryEntry]:
        checked = candidate or self._check(group)
        with _naming(group):
            self._uploader.put(group[0].name, checked)
        return checked, self._ready(group[0], checked)

    def _copy(self, first: DesiredAdapter, adapter: DesiredAdapter, candidate: Candidate) -> RegistryEntry:
        self._uploader.copy(first.name, adapter.name, candidate)
        return self._ready(adapter, candidate)

    def _ready(self, adapter: DesiredAdapter, candidate: Candidate) -> RegistryEntry:
        entry = candidate.entry(
            adapter.name,
            base_model=self._rules.base_model,
            checked_for=self._rules.checked_for(self._base_model.revision),
            owner=self._owner,
            labels=adapter.labels,
            limits=adapter.limits,
            tenant_limits=adapter.tenant_limits,
            origin=adapter.origin,
        )
        self._checkpoint.ready[adapter.name] = entry
        self._progress.count(ready=1)
        return entry


@contextmanager
def _naming(group: Group) -> Iterator[None]:
    """Add the adapter's name to a `SourceError`."""
    try:
        yield
    except SourceError as error:
        others = f" and {len(group) - 1} more" if len(group) > 1 else ""
        problem = f"{error.adapter}: {error.problem}"
        raise AdapterError(group[0].name + others, problem, error.remedy) from error
