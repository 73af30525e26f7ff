"""Publishing by hand: the files first, then the registry entry, by a conditional write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adapters.limits import Limits
from adapters.names import check_name
from adapters.store.layout import adapter_prefix
from adapters.store.publishing import BY_HAND, Change, publish
from adapters.store.registry import Published
from adapters.store.transfer import Transfers
from ingest.candidate import Candidate
from ingest.upload import Uploader
from loraserve.adapters.check import StageBase, checked_for
from loraserve.adapters.rollback import PublishResult, declared, refuse_stack_owned
from loraserve.adapters.stage_store import StageStore


@dataclass(frozen=True)
class Publication:
    """The publication of one name, from its first look at the registry to the entry."""

    store: StageStore
    name: str
    before: Published | None
    """The name's entry at the beginning; if it changes before the end, nothing is published."""

    @classmethod
    def begin(cls, store: StageStore, name: str) -> Publication:
        """Read the name's entry; raises `InvalidName`, or `PublishConflict` if a stack owns the name."""
        before = store.published(check_name(name))
        if before is not None:
            refuse_stack_owned(store, before.entry)
        return cls(store, name, before)

    def transfer(self, examined: Candidate, moved: Callable[[int], None] = lambda _: None) -> None:
        """Upload the files to the bucket; a second call resumes an interrupted upload.

        `moved` is called with the size of each part. Raises `InvalidAdapter` or `SourceError`.
        """
        store, prefix = self.store, adapter_prefix(self.name, examined.revision)
        found = store.revision(self.name, examined.revision)
        stored = {prefix + file: known.size for file, known in found.objects.items()}
        with Transfers(store.s3, store.bucket, moved=moved) as transfers:
            Uploader(store.s3, store.bucket, transfers, stored).put(self.name, examined)

    def finish(
        self,
        examined: Candidate,
        base: StageBase,
        labels: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> PublishResult:
        """Point the name to the revision, and retire the previous one; raises `PublishConflict`.

        Without `labels` or `limits`, the name keeps those that it has. Those of its tenant are the ones in
        the stage's manifest. If the name has this content and all of these already, nothing is written.
        """
        now = self.before.entry if self.before else None
        if labels is None:
            labels = now.labels if now else {}
        entry = examined.entry(
            self.name,
            base_model=self.store.rules.base_model,
            checked_for=checked_for(self.store, base),
            owner=BY_HAND,
            labels=dict(labels),
            limits=limits.to_dict() if limits is not None else now.limits if now else {},
            tenant_limits=self.store.stage.manifest.tenant_limits(labels),
        )
        if now is not None and now.revision == entry.revision and declared(now) == declared(entry):
            self.store.retention.revive(now.prefix)
            return PublishResult(now, None, changed=False)
        change = Change(self.before, entry)
        publish(self.store.registry, [change])
        # A retired revision with the same content may have been deleted by a gc since the upload. From now on
        # none deletes it, so the upload is completed again.
        self.store.retention.revive(entry.prefix)
        self.transfer(examined)
        if change.superseded is not None:
            self.store.retention.retire(change.superseded)
        return PublishResult(entry, now.revision if now else None, changed=True)
