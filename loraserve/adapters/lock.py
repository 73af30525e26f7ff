"""Locking a stage's adapters: the manifest with which another stage takes the same bytes.

The lock lists what the registry of the giving stage points to, each adapter by the digest over its files,
with its revision in the giving store as the source. Revision, rank, sizes and the config's hash are comments:
the digest decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from adapters.files import sha256_of_chunks
from adapters.limits import TENANT_LABEL, pairs
from adapters.source import HubSource, S3Source, SourceError, parse_source
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE, RegistryEntry
from adapters.store.publishing import BY_HAND
from adapters.store.s3 import chunks_of
from adapters.validation.base_model import BaseModelFacts
from loraserve.adapters.check import ModelIdentity, model_identity
from loraserve.adapters.stage_store import StageStore, in_parallel
from loraserve.adapters.verify import verify
from loraserve.errors import UserError
from stacks.config.stage_config import LoadedStage, StageConfig

#: Adapters named in an error.
_SHOWN = 20


class NotLockable(UserError):
    """Adapters that another stage must not take; the message names each with its remedy."""


@dataclass(frozen=True)
class Lock:
    """A lock, as `lock_adapters` makes it."""

    text: str
    """The manifest, YAML."""
    entries: tuple[RegistryEntry, ...]
    """The locked entries of the giving registry, by name."""
    kms_key: str | None
    """ARN of the key of the giving store's objects, which the taking stage must decrypt with; None if S3
    encrypts with its own, or if nothing is locked."""


def lock_adapters(
    store: StageStore,
    *,
    names: Sequence[str] = (),
    by_hand: bool = False,
    base: BaseModelFacts | None = None,
    target: ModelIdentity | None = None,
    moved: Callable[[int], None] = lambda _: None,
) -> Lock:
    """Lock the published adapters of a store, or those of these names; every byte of them is read.

    `by_hand` includes adapters that the command line published. `target` is the base model of the stage that
    takes them, `base` the facts that they are checked against. `moved` is called with the size of each chunk
    read. Raises `NotLockable`, and `UnknownAdapter` for a name that is not published.
    """
    found = [store.get(name) for name in dict.fromkeys(names)] if names else None
    entries = [one.entry for one in found] if found is not None else [one.entry for one in store.list()]
    entries.sort(key=lambda entry: entry.name)
    model = model_identity(store.stage.config, store.stage.directory)
    problems = [*_of_model(store.stage, model, target), *_of_entries(store, entries, by_hand=by_hand)]
    if not problems:
        problems = [
            (finding.name, finding.problem, finding.remedy)
            for finding in verify(store, [entry.name for entry in entries], base, moved)
        ]
    if problems:
        lines = [f"{name}: {problem}; {remedy}" for name, problem, remedy in problems[:_SHOWN]]
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise NotLockable("nothing is locked:\n" + "\n".join(f"  {line}" for line in [*lines, *more]))
    items = in_parallel(lambda entry: _item(store, entry), entries)
    tenants = {tenant: entry.tenant_limits for tenant, entry in _by_tenant(entries) if entry.tenant_limits}
    return Lock(_document(store.stage.name, model, items, tenants), tuple(entries), _kms_key(store, entries))


def missing_access(giving: LoadedStage, taking: StageConfig, kms_key: str | None) -> Iterator[str]:
    """Yield the rights that the stage files lack for the taking stage to read the giving store."""
    if kms_key is not None and kms_key not in taking.decrypt_keys:
        yield f"its seeder may not decrypt the giving store: add {kms_key} to its decrypt_keys"
    account, own = taking.account, giving.config.account
    readers = giving.config.store_readers
    if account not in {None, own} and not any(account in reader for reader in readers):
        yield (
            f"it may not read the giving store: add its account, {account!r}, to store_readers of stage "
            f"{giving.name!r}, and deploy that stage"
        )


def _of_model(
    giving: LoadedStage, model: ModelIdentity, target: ModelIdentity | None
) -> Iterator[tuple[str, str, str]]:
    if target is not None and target != model:
        yield (
            f"stage {giving.name!r}",
            f"its base model is {model}, that of the taking stage {target}",
            "an adapter is tested with one base model: give both stages the same name and revision",
        )


def _of_entries(
    store: StageStore, entries: Sequence[RegistryEntry], *, by_hand: bool
) -> Iterator[tuple[str, str, str]]:
    stage = store.stage
    for entry in entries:
        if entry.owner == BY_HAND and not by_hand:
            yield (
                entry.name,
                "it was published by hand, so no manifest declares it",
                "write --by-hand to lock it too, or name the others with --only",
            )
        if not entry.sha256:
            yield (
                entry.name,
                "its registry entry has no sha256, as an older version wrote it",
                "publish it again by hand"
                if entry.owner == BY_HAND
                else f"deploy stage {stage.name!r} with a changed manifest, e.g. another label of it: the "
                "seeder completes the entry",
            )
        if not _is_pinned(entry.origin or entry.source):
            yield (
                entry.name,
                f"its origin {entry.origin or entry.source} is a branch or a tag, which moves",
                f"pin its commit in the manifest of stage {stage.name!r}, and deploy it",
            )
        if entry.base_model != stage.config.base_model.name:
            yield (
                entry.name,
                f"it was checked for the base model {entry.base_model}, the stage serves "
                f"{stage.config.base_model.name}",
                f"deploy stage {stage.name!r}, or publish the adapter again",
            )

    yield from _of_tenants(store, entries)


def _of_tenants(store: StageStore, entries: Sequence[RegistryEntry]) -> Iterator[tuple[str, str, str]]:
    """Yield adapters whose tenant has other limits than with another of its adapters."""
    found: dict[str, RegistryEntry] = {}
    for tenant, entry in _by_tenant(entries):
        first = found.setdefault(tenant, entry)
        if first.tenant_limits != entry.tenant_limits:
            yield (
                entry.name,
                f"the limits of its tenant {tenant!r} are {pairs(entry.tenant_limits) or 'none'}, those with "
                f"{first.name!r} are {pairs(first.tenant_limits) or 'none'}",
                f"deploy stage {store.stage.name!r} with the limits that are meant, and publish what was "
                "published by hand again",
            )


def _by_tenant(entries: Sequence[RegistryEntry]) -> Iterator[tuple[str, RegistryEntry]]:
    for entry in entries:
        if (tenant := entry.labels.get(TENANT_LABEL)) is not None:
            yield tenant, entry


def _is_pinned(origin: str) -> bool:
    try:
        source = parse_source(origin)
    except SourceError:
        return False
    return not isinstance(source, HubSource) or source.is_pinned


def _item(store: StageStore, entry: RegistryEntry) -> tuple[dict[str, Any], str]:
    """Return the manifest's entry of an adapter, and the comment above it."""
    files = store.revision(entry.name, entry.revision).objects
    config = sha256_of_chunks(chunks_of(store.s3, store.bucket, entry.prefix + CONFIG_FILE))
    item: dict[str, Any] = {
        "name": entry.name,
        "digest": entry.digest,
        "sha256": entry.sha256,
        "source": str(S3Source(store.bucket, entry.prefix)),
        "origin": entry.origin or entry.source,
    }
    if entry.labels:
        item["labels"] = entry.labels
    if entry.limits:
        item["limits"] = entry.limits
    # Numbers and hashes only: text of the registry could end the comment.
    comment = (
        f"revision {entry.revision}, rank {entry.rank}; {CONFIG_FILE} {files[CONFIG_FILE].size} bytes, "
        f"sha256 {config}; {WEIGHTS_FILE} {files[WEIGHTS_FILE].size} bytes"
    )
    return item, comment


def _document(
    stage: str,
    model: ModelIdentity,
    items: Sequence[tuple[dict[str, Any], str]],
    tenants: Mapping[str, Mapping[str, int]],
) -> str:
    head = (
        f"# Adapters of stage {stage}, tested there with the base model {model}.\n"
        f"# Written by `python -m loraserve adapters lock --from {stage}`; lock again instead of an edit.\n"
    )
    if not items:
        return f"{head}adapters: []\n"
    blocks = []
    for item, comment in items:
        blocks.append("".join(f"  {line}\n" for line in (f"# {comment}", *_yaml([item]).splitlines())))
    shared = (
        _yaml({"tenants": {tenant: dict(limits) for tenant, limits in tenants.items()}}) if tenants else ""
    )
    return f"{head}{shared}adapters:\n{''.join(blocks)}"


def _yaml(data: object) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=10_000)


def _kms_key(store: StageStore, entries: Sequence[RegistryEntry]) -> str | None:
    if not entries:
        return None
    head = store.s3.head_object(Bucket=store.bucket, Key=entries[0].prefix + WEIGHTS_FILE)
    key = head.get("SSEKMSKeyId")
    return str(key) if key and head.get("ServerSideEncryption") == "aws:kms" else None
