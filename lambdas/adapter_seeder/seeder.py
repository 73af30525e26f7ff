"""Make the store match a manifest, in two phases.

First every adapter that is not known is found and checked, and then brought into the bucket; only when all
are there the registry is written. If one adapter fails, the registry is not touched: the endpoint keeps
serving what it served. Time may run out anywhere: the next call goes on from what is in the bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from adapters.errors import AdapterError
from adapters.source import HubSource, Source, SourceError
from adapters.store.layout import ADAPTERS_PREFIX, CONFIG_FILE, MODELS_PREFIX, RegistryEntry, name_of
from adapters.store.publishing import Change, publish
from adapters.store.registry import DamagedEntry, PublishConflict, Published, Registry
from adapters.store.retention import Retention
from adapters.store.s3 import S3Client, listing
from adapters.store.transfer import PARALLEL_PARTS, Transfers
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.check_adapter import Rules
from ingest.hub import Hub
from ingest.locator import Locator
from ingest.model_files import ModelFiles
from ingest.upload import Revisions
from lambdas.adapter_seeder.checkpoint import Record
from lambdas.adapter_seeder.desired_state import Desired
from lambdas.adapter_seeder.mirror import mirror
from lambdas.adapter_seeder.once import Once
from lambdas.adapter_seeder.outcome import Report, SeedingFailed
from lambdas.adapter_seeder.preparation import Preparation
from lambdas.adapter_seeder.progress import Tracker
from lambdas.adapter_seeder.thread_pool import BadAdapters, Workers

#: Adapters at once: they wait for the network more than for the processor.
PARALLEL_ADAPTERS = 32
#: To S3 at once.
CONNECTIONS = PARALLEL_ADAPTERS + PARALLEL_PARTS
#: Between two reports of progress, each of which also saves what is ready.
TICK_SECONDS = 5.0


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
        self._base_revision = base_revision
        self._hub = hub
        self._base_model = Once(base_model)
        self._facts = Once(self._read_facts)
        self._model_prefix = model_prefix
        self._has_time = has_time
        self._registry = Registry(s3, bucket)
        self._retention = Retention(s3, bucket)
        self._tracker = Tracker(s3, bucket, owner)
        self._tracker.count(adapters=len(desired.adapters))
        self._record = Record.load(s3, bucket, owner)
        self._record.begin(manifest, rules.checked_for(base_revision))
        self._stored = {
            item["Key"]: item["Size"]
            for prefix in (ADAPTERS_PREFIX, MODELS_PREFIX)
            for item in listing(s3, bucket, prefix)
        }
        """The keys that are there as this invocation begins, with their sizes."""

    def run(self) -> Report:
        """Do it; raises `SeedingFailed` if an adapter is bad, `OutOfTime` when `has_time` says so."""
        workers = Workers(
            PARALLEL_ADAPTERS, has_time=self._has_time, tick=self._save, tick_seconds=TICK_SECONDS
        )
        transfers = Transfers(self._s3, self._bucket, has_time=self._has_time, moved=self._tracker.moved)
        with transfers, workers:
            try:
                report = self._publish(workers, self._prepare(workers, transfers))
            except (BadAdapters, PublishConflict) as bad:
                self._fail(bad.errors if isinstance(bad, BadAdapters) else [bad])
            except BaseException:
                # Out of time, or an error of ours or of S3's. What is ready is kept in either case.
                self._save("to be continued")
                raise
        self._tracker.tell("complete")
        return report

    def _prepare(self, workers: Workers, transfers: Transfers) -> list[RegistryEntry]:
        """Phase one: an entry for every name of the manifest, with its objects in the bucket."""
        self._see_registry(workers)
        self._tracker.tell("checking sources")
        adapters = self._desired.adapters
        workers.map(self._pin, {adapter.source for adapter in adapters})
        preparation = Preparation(
            adapters,
            owner=self._owner,
            rules=self._rules,
            base_revision=self._base_revision,
            record=self._record,
            locator=Locator(self._s3, self._bucket, self._hub, self._desired.archive, self._record.commits),
            revisions=Revisions(self._s3, self._bucket, transfers, self._stored),
            facts=self._facts,
            tracker=self._tracker,
        )
        preparation.examine(workers)
        self._tracker.tell("transferring")
        if self._model_prefix is not None:
            mirror(
                self._base_model,
                self._model_prefix,
                workers=workers,
                transfers=transfers,
                stored=self._stored,
                record=self._record,
            )
        return preparation.put(workers)

    def _see_registry(self, workers: Workers) -> None:
        """Every published entry; those that the record has seen and that are unchanged are not read."""
        etags = self._registry.etags()
        seen = self._record.registry
        unseen = [name for name, etag in etags.items() if name not in seen or seen[name].etag != etag]
        found = zip(unseen, workers.map(self._look_up, unseen), strict=True)
        self._record.registry = {name: seen[name] for name in etags.keys() - set(unseen)} | {
            name: published for name, published in found if published is not None
        }

    def _look_up(self, name: str) -> Published | None:
        """An entry; one that is damaged matters only to whom its name belongs."""
        try:
            return self._registry.get(name)
        except DamagedEntry as error:
            if name in {adapter.name for adapter in self._desired.adapters}:
                raise
            self._tracker.warn(str(error))
            return None

    def _pin(self, source: Source) -> None:
        """Find out what a branch means, for the whole of this seeding."""
        if not isinstance(source, HubSource) or source.is_pinned:
            return
        commits = self._record.commits
        if str(source) not in commits:
            commits[str(source)] = self._hub.snapshot(source).source.revision
        self._tracker.warn(
            f"{source} is not pinned: it is {commits[str(source)]} now; pin it before promotion"
        )

    def _publish(self, workers: Workers, entries: Iterable[RegistryEntry]) -> Report:
        """Phase two: the registry, all of it or nothing; then the old revisions' retention begins."""
        seen, wanted = self._record.registry, {entry.name: entry for entry in entries}
        gone = {
            name: published
            for name, published in seen.items()
            if published.entry.owner == self._owner and name not in wanted
        }
        changes = [Change(seen.get(name), entry) for name, entry in wanted.items()]
        changes += [Change(published, None) for published in gone.values()]
        written = {}
        if self._record.note(changes):
            self._save("publishing")
            current = {entry.prefix for entry in wanted.values()}
            # What this invocation has brought cannot have been retired.
            returning = [
                prefix
                for prefix in self._record.introduced
                if prefix in current and prefix + CONFIG_FILE in self._stored
            ]
            # Before, so that nothing ends in between; and after, in case somebody has just retired it.
            self._each(workers, self._bring_back, returning, self._record.kept_before)
            try:
                written = publish(self._registry, changes, self._record.originals)
            except PublishConflict:
                self._record.originals = {}
                raise
            self._tracker.count(published=len(written), unpublished=len(gone))
            self._each(workers, self._bring_back, returning, self._record.kept_after)
            old = set(self._record.superseded) - current
            self._each(workers, self._retention.retire, old, self._record.retired)
            self._record.registry = {name: seen[name] for name in seen.keys() - gone.keys()} | written
            self._record.end()
            self._save("published")
        return Report(len(wanted), len(written), len(gone), self._tracker.status.bytes_moved)

    @staticmethod
    def _each(
        workers: Workers, work: Callable[[str], None], prefixes: Iterable[str], done: dict[str, bool]
    ) -> None:
        """Do the work for each prefix that is not done yet; `done` is part of the record."""

        def one(prefix: str) -> None:
            work(prefix)
            done[prefix] = True

        workers.map(one, [prefix for prefix in prefixes if prefix not in done])

    def _bring_back(self, prefix: str) -> None:
        if not self._retention.revive(prefix):
            problem = f"{prefix} has just been deleted by somebody else"
            raise AdapterError(name_of(prefix), problem, "deploy again")

    def _read_facts(self) -> BaseModelFacts | None:
        """The base model's dimensions. A model that the container fetches may be closed to the seeder."""
        try:
            return self._base_model().facts()
        except SourceError as error:
            if self._model_prefix is not None:
                raise
            self._tracker.warn(f"adapters are not checked against the base model's dimensions: {error}")
            return None

    def _fail(self, errors: Sequence[AdapterError]) -> NoReturn:
        self._tracker.count(failed=len(errors))
        self._save("failed")
        raise SeedingFailed(errors, self._tracker.report(errors))

    def _save(self, phase: str | None = None) -> None:
        self._record.save(self._s3, self._bucket, self._owner)
        self._tracker.tell(phase)
