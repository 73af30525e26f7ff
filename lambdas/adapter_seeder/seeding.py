"""Make the store match a manifest, in two phases.

First every adapter that is not known is found and checked, and then brought into the bucket; only when all
are there the registry is written. If one adapter fails, the registry is not touched: the endpoint keeps
serving what it served. Time may run out anywhere: the next call goes on from what is in the bucket.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Generic, NoReturn, TypeVar

from adapters.base_model import BaseModelFacts
from adapters.errors import AdapterError, InvalidAdapter
from adapters.publishing import Change, publish
from adapters.registry import PublishConflict, Registry
from adapters.retention import Retention
from adapters.s3 import S3Client, listing
from adapters.source import HubSource, S3Source, SourceError
from adapters.store import ADAPTERS_PREFIX, MODELS_PREFIX, RegistryEntry, adapter_prefix
from adapters.transfer import PARALLEL_PARTS, ContentMismatch, OutOfTime, Transfers
from adapters.validation import Rules
from lambdas.adapter_seeder.base_model import MODEL_CONFIG, ModelFiles
from lambdas.adapter_seeder.desired import Desired, DesiredAdapter
from lambdas.adapter_seeder.examining import Examined, examine
from lambdas.adapter_seeder.hub import Hub
from lambdas.adapter_seeder.locating import Locator
from lambdas.adapter_seeder.record import Record
from lambdas.adapter_seeder.revisions import Revisions
from lambdas.adapter_seeder.status import Tracker

#: Adapters at once: they wait for the network more than for the processor.
PARALLEL_ADAPTERS = 32
#: To S3 at once.
CONNECTIONS = PARALLEL_ADAPTERS + PARALLEL_PARTS
#: CloudFormation takes 4 kB as a custom resource's whole answer.
MAX_MESSAGE_BYTES = 2500
#: Between two reports of progress, each of which also saves what is ready.
TICK_SECONDS = 5.0

#: At the end of `RegistryEntry.checked_for`.
_DIMENSIONS_UNKNOWN = ", dimensions unknown"

T = TypeVar("T")
R = TypeVar("R")


class SeedingFailed(Exception):
    """At least one adapter cannot be published; the message lists them with reason and remedy."""

    def __init__(self, errors: Sequence[AdapterError], report: str) -> None:
        """Lists as many as fit into CloudFormation's answer; `report` is where all are."""
        head = f"{len(errors)} adapter(s) cannot be published; nothing was changed. All of them: {report}"
        text = "\n".join([head, *map(str, errors)]).encode()
        cut = text[:MAX_MESSAGE_BYTES].decode(errors="ignore") + "…"
        super().__init__(text.decode() if len(text) <= MAX_MESSAGE_BYTES else cut)
        self.errors = errors


@dataclass(frozen=True)
class Report:
    """What a seeding did."""

    adapters: int
    published: int
    unpublished: int
    bytes_moved: int

    def to_json(self) -> str:
        """One log line."""
        return json.dumps({"seeded": asdict(self)})


class Seeding:
    """One stage's seeding of one manifest."""

    def __init__(
        self,
        s3: S3Client,
        bucket: str,
        *,
        owner: str,
        manifest: str,
        desired: Desired,
        rules: Rules,
        hub: Hub,
        base_model: Callable[[], ModelFiles],
        base_revision: str,
        model_prefix: str | None,
        has_time: Callable[[], bool] = lambda: True,
    ) -> None:
        """`manifest` tells one manifest from another, `base_revision` one state of the model from another.

        `base_model` is called only if it is needed; `model_prefix` is where the model has to lie, None
        leaves it where it is.
        """
        self._s3 = s3
        self._bucket = bucket
        self._owner = owner
        self._desired = desired
        self._rules = rules
        self._checked_for = f"{rules.identity} {base_revision}"
        self._hub = hub
        self._base_model = _Once(base_model)
        self._facts = _Once(self._read_facts)
        self._model_prefix = model_prefix
        self._has_time = has_time
        self._registry = Registry(s3, bucket)
        self._retention = Retention(s3, bucket)
        self._tracker = Tracker(s3, bucket, owner)
        self._tracker.count(adapters=len(desired.adapters))
        self._record = Record.load(s3, bucket, owner)
        if self._record.manifest != manifest:
            # Another manifest's branches are resolved anew; what is ready stays ready.
            self._record.manifest, self._record.commits = manifest, {}
        if self._record.rules != self._checked_for:
            self._record.rules, self._record.passed = self._checked_for, []
        self._donors: dict[str, RegistryEntry] = {}
        """By source: an entry whose revision in the bucket is what the source holds."""
        self._locator = Locator(s3, hub, desired.archive, self._record.commits)
        self._stored = {
            item["Key"]: item["Size"]
            for prefix in (ADAPTERS_PREFIX, MODELS_PREFIX)
            for item in listing(s3, bucket, prefix)
        }

    def run(self) -> Report:
        """Do it; raises `SeedingFailed` if an adapter is bad, `OutOfTime` when `has_time` says so."""
        with (
            Transfers(
                self._s3, self._bucket, has_time=self._has_time, moved=self._tracker.moved
            ) as transfers,
            ThreadPoolExecutor(PARALLEL_ADAPTERS, "adapter") as pool,
        ):
            self._see_registry(pool)
            entries = self._entries(pool, transfers)
            report = self._publish(pool, entries)
        self._tracker.tell("complete")
        return report

    def _see_registry(self, pool: ThreadPoolExecutor) -> None:
        """Every published entry; those that the record has seen and that are unchanged are not read."""
        etags = self._registry.etags()
        seen = self._record.registry
        unseen = [name for name, etag in etags.items() if name not in seen or seen[name].etag != etag]
        found = zip(unseen, pool.map(self._registry.get, unseen), strict=True)
        self._record.registry = {name: seen[name] for name in etags if name not in unseen} | {
            name: published for name, published in found if published is not None
        }

    def _entries(self, pool: ThreadPoolExecutor, transfers: Transfers) -> list[RegistryEntry]:
        """Phase one: an entry for every name of the manifest, with its objects in the bucket."""
        revisions = Revisions(self._s3, self._bucket, transfers, self._stored)
        self._tracker.tell("checking sources")
        self._all(pool, self._resolve, {a.source for a in self._desired.adapters})
        self._all(pool, self._check_owner, self._desired.adapters)
        known = self._all(pool, lambda adapter: self._known(adapter, revisions), self._desired.adapters)
        entries = {entry.name: entry for entry in known if entry is not None}
        self._tracker.count(ready=len(entries))
        groups: dict[object, list[DesiredAdapter]] = defaultdict(list)
        for adapter in self._desired.adapters:
            if adapter.name not in entries:
                groups[(adapter.source, adapter.sha256)].append(adapter)
        examined = self._all(pool, self._examine_once, groups.values())
        self._tracker.tell("transferring")
        self._put_model(pool, transfers)
        pairs = list(zip(groups.values(), examined, strict=True))
        put = self._all(pool, lambda pair: self._put(revisions, *pair), pairs)
        copies = [
            (group[0], adapter, found)
            for group, (found, _) in zip(groups.values(), put, strict=True)
            for adapter in group[1:]
        ]
        rest = self._all(pool, lambda copy: self._copy(revisions, *copy), copies)
        entries |= {entry.name: entry for entry in (*(entry for _, entry in put), *rest)}
        return [entries[adapter.name] for adapter in self._desired.adapters]

    def _publish(self, pool: ThreadPoolExecutor, entries: list[RegistryEntry]) -> Report:
        """Phase two: the registry, all of it or nothing; then the old revisions' retention begins."""
        seen = self._record.registry
        wanted = {entry.name for entry in entries}
        gone = {
            name: published
            for name, published in seen.items()
            if published.entry.owner == self._owner and name not in wanted
        }
        changes = [Change(seen.get(entry.name), entry) for entry in entries]
        changes += [Change(published, None) for published in gone.values()]
        changes = [change for change in changes if change.is_one]
        superseded = {*self._record.superseded, *filter(None, (change.superseded for change in changes))}
        if not (changes or superseded or self._record.ready or self._record.commits):
            return Report(len(entries), 0, 0, self._tracker.status.bytes_moved)
        self._record.superseded = sorted(superseded)
        self._save("publishing")
        try:
            written = publish(self._registry, changes)
        except PublishConflict as conflict:
            self._fail([conflict])
        self._tracker.count(published=len(written), unpublished=len(gone))
        self._all(pool, self._retention.revive, self._record.returning)
        self._all(pool, self._retention.retire, superseded)
        self._record.registry = {name: seen[name] for name in seen if name not in gone} | written
        self._record.end()
        self._save("published")
        return Report(len(entries), len(written), len(gone), self._tracker.status.bytes_moved)

    def _resolve(self, source: object) -> None:
        """Pin a branch for the whole of this seeding."""
        if isinstance(source, HubSource) and not source.is_pinned and str(source) not in self._record.commits:
            pinned = self._hub.snapshot(source).source
            self._record.commits[str(source)] = pinned.revision
            self._tracker.warn(
                f"{source} is not pinned: it is {pinned.revision} now; pin it before promotion"
            )

    def _check_owner(self, adapter: DesiredAdapter) -> None:
        published = self._record.registry.get(adapter.name)
        if published is not None and published.entry.owner != self._owner:
            raise PublishConflict(
                adapter.name,
                f"the name is published by {published.entry.owner!r}",
                "remove it there, or choose another name",
            )

    def _known(self, adapter: DesiredAdapter, revisions: Revisions) -> RegistryEntry | None:
        """The adapter's entry, if it was examined before by the same rules and its objects are there."""
        published = self._record.registry.get(adapter.name)
        candidates = [self._record.ready.get(adapter.name), published.entry if published else None]
        for entry in candidates:
            if entry is not None and revisions.is_complete(entry.prefix) and self._holds(entry, adapter):
                self._donors[entry.source] = entry
                if entry.checked_for == self._checked_for:
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

    def _examine_once(self, group: list[DesiredAdapter]) -> Examined | None:
        """Examine, unless an earlier invocation has: so that even the checks of thousands come to an end."""
        key = f"{self._locator.pinned(group[0].source)} {group[0].sha256}"
        if key in self._record.passed:
            return None
        examined = self._examine(group)
        self._record.passed.append(key)
        return examined

    def _examine(self, group: list[DesiredAdapter]) -> Examined:
        adapter = group[0]
        donor = self._donors.get(str(self._locator.pinned(adapter.source)))
        with _named(group):
            if donor is not None and adapter.sha256 in {None, donor.sha256}:
                located = self._locator.stored(self._bucket, donor)
            else:
                located = self._locator.locate(adapter.source)
            examined = examine(adapter.name, located, self._rules, self._facts(), adapter.sha256)
        self._tracker.count(examined=1)
        return examined

    def _put(
        self, revisions: Revisions, group: list[DesiredAdapter], examined: Examined | None
    ) -> tuple[Examined, RegistryEntry]:
        found = examined or self._examine(group)
        self._note_return(revisions, group[0], found)
        with _named(group):
            revisions.put(group[0].name, found)
        return found, self._ready(group[0], found)

    def _copy(
        self, revisions: Revisions, first: DesiredAdapter, adapter: DesiredAdapter, examined: Examined
    ) -> RegistryEntry:
        self._note_return(revisions, adapter, examined)
        revisions.copy(first.name, adapter.name, examined)
        return self._ready(adapter, examined)

    def _note_return(self, revisions: Revisions, adapter: DesiredAdapter, examined: Examined) -> None:
        """A revision that is there, although its name does not stand for it, may have been retired."""
        prefix = adapter_prefix(adapter.name, examined.revision)
        if revisions.is_complete(prefix):
            self._record.returning.append(prefix)

    def _ready(self, adapter: DesiredAdapter, examined: Examined) -> RegistryEntry:
        entry = examined.entry(
            adapter.name,
            base_model=self._rules.base_model,
            checked_for=self._checked_for + ("" if self._facts() else _DIMENSIONS_UNKNOWN),
            owner=self._owner,
            labels=adapter.labels,
        )
        self._record.ready[adapter.name] = entry
        self._tracker.count(ready=1)
        return entry

    def _read_facts(self) -> BaseModelFacts | None:
        """The base model's dimensions. A model that the container fetches may be closed to the seeder."""
        try:
            return self._base_model().facts()
        except SourceError as error:
            if self._model_prefix is not None:
                raise
            self._tracker.warn(f"adapters are not checked against the base model's dimensions: {error}")
            return None

    def _put_model(self, pool: ThreadPoolExecutor, transfers: Transfers) -> None:
        prefix = self._model_prefix
        if prefix is None or prefix + MODEL_CONFIG in self._stored:
            return

        def put(file: str) -> None:
            key, model = prefix + file, self._base_model()
            if key in self._record.model_files:
                return
            try:
                if self._stored.get(key) == model.files[file].size and file in model.sha256:
                    transfers.verify(key, model.sha256[file])
                else:
                    model.put(file, prefix, transfers)
            except ContentMismatch as mismatch:
                raise InvalidAdapter(model.name, f"base model: {mismatch}", "deploy again") from mismatch
            self._record.model_files.append(key)

        [files] = self._all(pool, lambda _: list(self._base_model().files), [None])
        self._all(pool, put, (file for file in files if file != MODEL_CONFIG))
        self._all(pool, put, [MODEL_CONFIG])

    def _all(self, pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Do the work for all items; `OutOfTime` or `SeedingFailed` if it could not be done for one."""

        def one(item: T) -> R:
            if not self._has_time():
                raise OutOfTime
            return work(item)

        futures = [pool.submit(one, item) for item in items]
        pending: set[Future[R]] = set(futures)
        while pending:
            _, pending = wait(pending, TICK_SECONDS)
            if pending:
                self._save()
        failed = [error for future in futures if (error := future.exception()) is not None]
        self._record_failures(failed)
        return [future.result() for future in futures]

    def _record_failures(self, failed: list[BaseException]) -> None:
        bad = [error for error in failed if isinstance(error, AdapterError)]
        others = [error for error in failed if not isinstance(error, AdapterError)]
        if others:
            # Out of time, or an error of ours or of S3's. What is ready is kept in either case.
            self._save("to be continued")
            raise others[0]
        if bad:
            self._fail(bad)

    def _fail(self, errors: Sequence[AdapterError]) -> NoReturn:
        self._tracker.count(failed=len(errors))
        self._save("failed")
        raise SeedingFailed(errors, self._tracker.report(errors))

    def _save(self, phase: str | None = None) -> None:
        self._record.save(self._s3, self._bucket, self._owner)
        self._tracker.tell(phase)


@contextmanager
def _named(group: list[DesiredAdapter]) -> Iterator[None]:
    """Say of a source that cannot be read whose it is."""
    try:
        yield
    except SourceError as error:
        others = f" and {len(group) - 1} more" if len(group) > 1 else ""
        raise AdapterError(
            group[0].name + others, f"{error.adapter}: {error.problem}", error.remedy
        ) from error


class _Once(Generic[R]):
    """Work that is done when it is first needed, and then only once, by whichever thread comes first."""

    def __init__(self, work: Callable[[], R]) -> None:
        self._work = work
        self._done: Future[R] = Future()
        self._lock = threading.Lock()

    def __call__(self) -> R:
        with self._lock:
            if not self._done.done():
                try:
                    self._done.set_result(self._work())
                except AdapterError as error:
                    self._done.set_exception(error)
        return self._done.result()
