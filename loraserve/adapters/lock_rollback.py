"""Rolling a registry back to the revisions of an earlier lock, without a deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.store.layout import RegistryEntry, revision_of
from adapters.store.publishing import Change, publish
from loraserve.adapters.compare import digests
from loraserve.adapters.rollback import NoRevision, PublishResult, declared, wanted_entry
from loraserve.adapters.stage_store import StageStore, in_parallel
from stacks.config.manifest import Manifest
from stacks.typed_yaml import ConfigError, read


@dataclass(frozen=True)
class LockRollback:
    """The result: the names that were rolled back, and those that the lock does not have."""

    results: tuple[PublishResult, ...]
    """By name; only those that changed."""
    not_in_lock: tuple[str, ...]
    """Published names that the lock does not list; they stay."""


def locked_digests(path: Path) -> dict[str, str]:
    """Read the digest of each name of a lock; raises `ConfigError`."""
    found = digests(read(path, Manifest))
    for name, digest in found.items():
        if digest is None:
            raise ConfigError(
                f"{path}: adapter {name!r}: it has no digest: name a manifest of `adapters lock`"
            )
    return {name: digest for name, digest in found.items() if digest is not None}


def rollback_to_lock(store: StageStore, wanted: Mapping[str, str]) -> LockRollback:
    """Point each name of a lock to the revision with the `wanted` digest: all of them, or none.

    A removed name is published again. Raises `NoRevision` if files are no longer in the bucket, and
    `PublishConflict` if a name changes meanwhile.
    """
    published = {listed.entry.name for listed in store.list()}
    changes = [
        change
        for change in in_parallel(lambda item: _change(store, *item), sorted(wanted.items()))
        if change.is_one
    ]
    # All marks first: from the write on, a garbage collection skips the revisions.
    introduced = [change.after for change in changes if change.after is not None]
    in_parallel(lambda entry: store.retention.revive(entry.prefix), introduced)
    written = publish(store.registry, changes)
    gone = [entry for entry in introduced if not store.revision(entry.name, entry.revision).is_complete]
    if gone:
        # A garbage collection has deleted one of them since they were looked up.
        publish(store.registry, [Change(written[each.name], each.original) for each in changes])
        raise NoRevision(
            gone[0].name,
            f"the files of revision {gone[0].revision} have just been deleted",
            "nothing is rolled back: publish it again, or take it out of the lock",
        )
    superseded = [change.superseded for change in changes if change.superseded is not None]
    in_parallel(store.retention.retire, superseded)
    results = tuple(
        PublishResult(entry, change.original.revision if change.original else None, changed=True)
        for change, entry in zip(changes, introduced, strict=True)
    )
    return LockRollback(results, tuple(sorted(published - set(wanted))))


def _change(store: StageStore, name: str, digest: str) -> Change:
    before = store.published(name)
    now = before.entry if before else None
    if now is not None and now.digest == digest:
        return Change(before, now)
    entry: RegistryEntry = wanted_entry(store, name, now, revision_of(digest))
    return Change(before, entry if now is None else replace(entry, owner=now.owner, **declared(now)))
