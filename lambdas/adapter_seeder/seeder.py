"""The seeder: makes the store match a manifest, in two phases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from adapters.errors import AdapterError
from adapters.source import HubSource
from adapters.store.layout import ADAPTERS_PREFIX, CONFIG_FILE, MODELS_PREFIX, RegistryEntry, name_of
from adapters.store.publishing import Change, publish
from adapters.store.registry import AdapterRegistry, DamagedEntry, PublishConflict
from adapters.store.retention import Retention
from adapters.store.s3 import S3Client, listing
from adapters.store.transfer import PARALLEL_PARTS, Transfers
from adapters.validation.rules import Rules
from ingest.hub import Hub, HubUnavailable
from ingest.locator import Locator
from ingest.model_files import MODEL_CONFIG, stored_model
from ingest.upload import Uploader
from lambdas.adapter_seeder.checkpoint import Checkpoint
from lambdas.adapter_seeder.desired_state import DesiredState
from lambdas.adapter_seeder.mirror import mirror
from lambdas.adapter_seeder.outcome import Report, SeedingFailed
from lambdas.adapter_seeder.preparation import Preparation
from lambdas.adapter_seeder.progress import Progress
from lambdas.adapter_seeder.removals import UnknownDirection, refused_removals
from lambdas.adapter_seeder.served_model import ServedModel
from lambdas.adapter_seeder.thread_pool import BadAdapters, ThreadPool

#: Adapters at once: they wait for the network more than for the processor.
PARALLEL_ADAPTERS = 32
#: To S3 at once.
CONNECTIONS = PARALLEL_ADAPTERS + PARALLEL_PARTS
#: Between two reports of progress, each of which also saves the checkpoint.
TICK_SECONDS = 5.0


class Seeder:
    """One seeding of one stage's manifest.

    Phase one, prepare: the base model is read with the access of the process that will fetch it, removals are
    checked (`removals`), then every adapter that is not known is located and checked, then every adapter is
    uploaded. The checkpoint then has the base models that the container could fetch (`fetchable`), the commit
    of each branch (`commits`), the sources that passed the check (`passed`), and the entry of each name whose
    objects are complete (`ready`). The registry is unchanged: if one adapter fails, the endpoint keeps
    serving what it served.

    Phase two, publish: the registry is written, all of it or nothing, and superseded revisions are retired.
    Before the first write the checkpoint gets what the names pointed to (`originals`) and the revisions to
    keep and to retire (`introduced`, `superseded`). At the end it has the registry's entries with their
    ETags (`registry`), and `fetchable`.

    An invocation may end anywhere, and the next one continues. It skips a registry entry whose ETag has not
    changed, an adapter whose entry was checked by these rules and whose objects are in the bucket, a check
    that passed, and each part of a file that S3 has. Nothing in the checkpoint is believed without looking
    into the bucket; without a checkpoint the result is the same.
    """

    def __init__(
        self,
        s3: S3Client,
        bucket: str,
        *,
        owner: str,
        desired: DesiredState,
        rules: Rules,
        base_model: ServedModel,
        hub: Hub,
        is_rollback: Callable[[], bool],
        has_time: Callable[[], bool] = lambda: True,
    ) -> None:
        """`owner` is the name of the stack, as registry entries have it.

        `is_rollback` returns whether CloudFormation goes back to this manifest; raises `UnknownDirection`.
        Once `has_time` returns false, `run` raises `OutOfTime`.
        """
        self._s3 = s3
        self._bucket = bucket
        self._owner = owner
        self._desired = desired
        self._rules = rules
        self._base_model = base_model
        self._hub = hub
        self._is_rollback = is_rollback
        self._has_time = has_time
        self._registry = AdapterRegistry(s3, bucket)
        self._retention = Retention(s3, bucket)
        self._progress = Progress(s3, bucket, owner)
        self._progress.count(adapters=len(desired.adapters))
        self._checkpoint = Checkpoint.load(s3, bucket, owner)
        self._checkpoint.begin(desired.manifest, rules.checked_for(base_model.revision))
        self._stored = {
            item["Key"]: item["Size"]
            for prefix in (ADAPTERS_PREFIX, MODELS_PREFIX)
            for item in listing(s3, bucket, prefix)
        }
        """The keys in the bucket as this invocation begins, with their sizes in bytes."""
        prefix = base_model.mirror_prefix
        self._is_mirrored = prefix is not None and prefix + MODEL_CONFIG in self._stored
        if prefix is not None and self._is_mirrored:
            # The Hub is not needed any more.
            self._base_model = base_model.located_by(
                lambda: stored_model(rules.base_model, s3, bucket, prefix, self._stored)
            )

    def run(self) -> Report:
        """Run both phases.

        Raises `SeedingFailed` if the base model or an adapter is bad, or if more adapters would be removed
        than the manifest allows; `OutOfTime` if time is over, and `HubUnavailable` if it is not known yet
        whether the base model can be fetched: a later invocation may find out.
        """
        pool = ThreadPool(
            PARALLEL_ADAPTERS, has_time=self._has_time, tick=self._save, tick_seconds=TICK_SECONDS
        )
        transfers = Transfers(self._s3, self._bucket, has_time=self._has_time, moved=self._progress.add_bytes)
        with transfers, pool:
            try:
                report = self._publish(pool, self._prepare(pool, transfers))
            except (BadAdapters, PublishConflict) as bad:
                self._fail(bad.errors if isinstance(bad, BadAdapters) else [bad])
            except HubUnavailable as error:
                self._progress.warn(str(error))
                self._save("waiting for the Hub")
                raise
            except BaseException:
                # Out of time, or an error of this code or of S3. What is ready is kept in either case.
                self._save("to be continued")
                raise
        self._progress.report("complete")
        return report

    def _prepare(self, pool: ThreadPool, transfers: Transfers) -> list[RegistryEntry]:
        """Run phase one; return an entry for every name of the manifest, with its objects in the bucket."""
        self._read_base_model(pool)
        self._read_registry(pool)
        self._check_removals()
        self._progress.report("checking sources")
        adapters = self._desired.adapters
        sources = (adapter.source for adapter in adapters)
        pool.map(self._pin, {source.root for source in sources if isinstance(source, HubSource)})
        preparation = Preparation(
            adapters,
            owner=self._owner,
            rules=self._rules,
            base_model=self._base_model,
            checkpoint=self._checkpoint,
            locator=Locator(
                self._s3, self._bucket, self._hub, self._desired.archive, self._checkpoint.commits
            ),
            uploader=Uploader(self._s3, self._bucket, transfers, self._stored),
            progress=self._progress,
        )
        preparation.check(pool)
        self._progress.report("transferring")
        if self._base_model.mirror_prefix is not None and not self._is_mirrored:
            mirror(
                self._base_model,
                self._base_model.mirror_prefix,
                pool=pool,
                transfers=transfers,
                stored=self._stored,
                checkpoint=self._checkpoint,
            )
        return preparation.upload(pool)

    def _read_base_model(self, pool: ThreadPool) -> None:
        """Read the base model before anything else: without it, the endpoint would not start.

        Nothing is asked for a model that is mirrored, nor for one that the container could fetch before.
        """
        model = f"{self._rules.base_model}@{self._base_model.revision}"
        if self._is_mirrored or model in self._checkpoint.fetchable:
            return
        self._progress.report("checking the base model")
        self._base_model.read(pool)
        if self._base_model.mirror_prefix is None:
            self._checkpoint.fetchable.append(model)
            self._checkpoint.save(self._s3, self._bucket, self._owner)

    def _read_registry(self, pool: ThreadPool) -> None:
        """Read every published entry, except those whose ETag is the checkpoint's.

        Each is noted as soon as it is read, so that an invocation that ends meanwhile is not in vain.
        """
        etags, seen = self._registry.etags(), self._checkpoint.registry
        self._checkpoint.registry = {
            name: published for name, published in seen.items() if etags.get(name) == published.etag
        }
        pool.map(self._look_up, [name for name in etags if name not in self._checkpoint.registry])

    def _check_removals(self) -> None:
        """Refuse to remove more adapters than the manifest allows; raises `BadAdapters`.

        The next invocation checks again, perhaps after a part of the registry is written. What was allowed
        still is: what is left to remove is a smaller share of what is published then.
        """
        published = [
            name for name, found in self._checkpoint.registry.items() if found.entry.owner == self._owner
        ]
        kept = {adapter.name for adapter in self._desired.adapters}
        refused = refused_removals(published, kept, self._desired.removals)
        if not refused:
            return
        try:
            if not self._is_rollback():
                raise BadAdapters(refused)
        except UnknownDirection as error:
            # Refusing a rollback would leave the stack in UPDATE_ROLLBACK_FAILED.
            self._progress.warn(f"{len(refused)} removals are not checked: {error}")

    def _look_up(self, name: str) -> None:
        """Note an entry. A damaged one is an error only if its name is in this manifest."""
        try:
            published = self._registry.get(name)
        except DamagedEntry as error:
            if name in {adapter.name for adapter in self._desired.adapters}:
                raise
            self._progress.warn(str(error))
            return
        if published is not None:
            self._checkpoint.registry[name] = published

    def _pin(self, source: HubSource) -> None:
        """Resolve a branch to its commit, for the whole of this seeding and for all of its folders."""
        if source.is_pinned:
            return
        commits = self._checkpoint.commits
        if str(source) not in commits:
            commits[str(source)] = self._hub.snapshot(source).source.revision
        self._progress.warn(
            f"{source} is not pinned: it is {commits[str(source)]} now; pin it before promotion"
        )

    def _publish(self, pool: ThreadPool, entries: Iterable[RegistryEntry]) -> Report:
        """Run phase two: write the registry, all of it or nothing, and retire superseded revisions."""
        seen, wanted = self._checkpoint.registry, {entry.name: entry for entry in entries}
        gone = {
            name: published
            for name, published in seen.items()
            if published.entry.owner == self._owner and name not in wanted
        }
        changes = [Change(seen.get(name), entry) for name, entry in wanted.items()]
        changes += [Change(published, None) for published in gone.values()]
        written = {}
        if self._checkpoint.note(changes):
            self._save("publishing")
            current = {entry.prefix for entry in wanted.values()}
            # What this invocation has uploaded cannot have been retired.
            returning = [
                prefix
                for prefix in self._checkpoint.introduced
                if prefix in current and prefix + CONFIG_FILE in self._stored
            ]
            # Before the write, so that no retention period ends in between; and after it, in case a gc has
            # retired one of them a moment before.
            self._each(pool, self._revive, returning, self._checkpoint.kept_before)
            try:
                written = publish(self._registry, changes, self._checkpoint.originals)
            except PublishConflict:
                self._checkpoint.originals = {}
                raise
            self._progress.count(published=len(written), unpublished=len(gone))
            self._each(pool, self._revive, returning, self._checkpoint.kept_after)
            old = set(self._checkpoint.superseded) - current
            self._each(pool, self._retention.retire, old, self._checkpoint.retired)
            self._checkpoint.registry = {name: seen[name] for name in seen.keys() - gone.keys()} | written
            self._checkpoint.end()
            self._save("published")
        return Report(len(wanted), len(written), len(gone), self._progress.status.bytes_moved)

    @staticmethod
    def _each(
        pool: ThreadPool, work: Callable[[str], None], prefixes: Iterable[str], done: dict[str, bool]
    ) -> None:
        """Do the work for each prefix that is not in `done`, which is part of the checkpoint."""

        def one(prefix: str) -> None:
            work(prefix)
            done[prefix] = True

        pool.map(one, [prefix for prefix in prefixes if prefix not in done])

    def _revive(self, prefix: str) -> None:
        if not self._retention.revive(prefix):
            problem = f"{prefix} has just been deleted by another process"
            raise AdapterError(name_of(prefix), problem, "deploy again")

    def _fail(self, errors: Sequence[AdapterError]) -> NoReturn:
        self._progress.count(failed=len(errors))
        self._save("failed")
        raise SeedingFailed(errors, self._progress.report_failures(errors))

    def _save(self, phase: str | None = None) -> None:
        self._checkpoint.save(self._s3, self._bucket, self._owner)
        self._progress.report(phase)
