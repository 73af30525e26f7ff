"""Checks of locked adapters before a deployment: what the seeder will copy is there, and is what was locked.

They run with the credentials of the taking stage, which may get objects of the giving store and not list it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from adapters.source import S3Source, SourceError, parse_source
from adapters.store.layout import (
    ADAPTER_FILES,
    CONFIG_FILE,
    WEIGHTS_FILE,
    RegistryEntry,
    adapter_prefix,
    content_digest,
    revision_of,
)
from adapters.store.registry import AdapterRegistry, DamagedEntry
from adapters.store.s3 import S3Client, error_code, is_absent, is_denied
from adapters.validation.adapter_config import MAX_CONFIG_BYTES
from loraserve.adapters.stage_store import in_parallel
from loraserve.finding import Finding, ok, problem
from stacks.facts import PackedAdapterFacts

#: Names in a finding.
_SHOWN = 5


@dataclass(frozen=True)
class LockProblem:
    """A locked adapter that a stage cannot take."""

    name: str
    problem: str
    remedy: str


def check_locked_adapters(
    s3: S3Client,
    adapters: Sequence[PackedAdapterFacts],
    *,
    giving: str,
    giving_bucket: str,
    own_bucket: str | None,
) -> Iterator[Finding]:
    """Check that the adapters are in the registry of the stage `giving`, and that their files can be read.

    `own_bucket` is the taking stage's, None before its first deployment. Nothing for adapters that are not
    locked.
    """
    locked = [adapter for adapter in adapters if _locked(adapter) is not None]
    if not locked:
        return
    found = unreadable_revisions(
        s3, locked, giving=giving, giving_bucket=giving_bucket, own_bucket=own_bucket
    )
    by_kind: dict[tuple[str, str], list[str]] = {}
    for each in found:
        by_kind.setdefault((each.problem, each.remedy), []).append(each.name)
    for (what, remedy), names in by_kind.items():
        yield problem("locked adapters", f"{_listed(names)}: {what}", remedy)
    if not found:
        count = sum(len(adapter.names) for adapter in locked)
        yield ok("locked adapters", f"{count}, as in the registry of stage {giving!r}, readable from here")


def unreadable_revisions(
    s3: S3Client,
    adapters: Sequence[PackedAdapterFacts],
    *,
    giving: str,
    giving_bucket: str,
    own_bucket: str | None,
) -> list[LockProblem]:
    """Return what keeps a stage from taking locked adapters; see `check_locked_adapters`."""
    registry = AdapterRegistry(s3, giving_bucket)
    locked = [
        (name, source, str(adapter.digest))
        for adapter in adapters
        if (source := _locked(adapter)) is not None
        for name in adapter.names
    ]

    def one(item: tuple[str, S3Source, str]) -> LockProblem | None:
        name, source, digest = item
        if source.bucket not in {giving_bucket, own_bucket}:
            return LockProblem(
                name,
                f"its source is in the bucket {source.bucket}, which is neither the store of stage "
                f"{giving!r} nor the stage's own",
                _lock_again(giving),
            )
        try:
            published = registry.get(name)
        except DamagedEntry as error:
            return LockProblem(name, error.problem, error.remedy)
        except s3.exceptions.ClientError as error:
            if not is_denied(error):
                raise
            return LockProblem(
                name,
                f"S3 answers {error_code(error)} to its registry entry in {giving_bucket}",
                f"check that stage {giving!r} serves it, and that its store_readers has this account and is "
                "deployed: without s3:ListBucket, S3 denies what is missing, too",
            )
        if published is None:
            return LockProblem(name, f"stage {giving!r} does not serve it", _lock_again(giving))
        if published.entry.digest != digest:
            return LockProblem(
                name,
                f"stage {giving!r} serves another revision of it than is locked",
                f"{_lock_again(giving)}; or roll stage {giving!r} back to the locked one",
            )
        return _of_files(s3, source, published.entry)

    return [found for found in in_parallel(one, locked) if found is not None]


def missing_revisions(s3: S3Client, bucket: str, digests: Mapping[str, str | None]) -> list[str]:
    """Return the names whose revision is not, or no longer, complete in a store; None is not looked for."""

    def is_complete(item: tuple[str, str]) -> bool:
        name, digest = item
        return all(
            _exists(s3, bucket, adapter_prefix(name, revision_of(digest)) + file) for file in ADAPTER_FILES
        )

    wanted = [(name, digest) for name, digest in sorted(digests.items()) if digest is not None]
    complete = in_parallel(is_complete, wanted)
    return [name for (name, _), found in zip(wanted, complete, strict=True) if not found]


def _locked(adapter: PackedAdapterFacts) -> S3Source | None:
    try:
        source = parse_source(adapter.source)
    except SourceError:
        return None
    return source if isinstance(source, S3Source) and adapter.digest is not None else None


def _of_files(s3: S3Client, source: S3Source, entry: RegistryEntry) -> LockProblem | None:
    """Read the config, and a byte of the weights: a HEAD request needs no right to decrypt."""
    try:
        config = s3.get_object(
            Bucket=source.bucket, Key=source.prefix + CONFIG_FILE, Range=f"bytes=0-{MAX_CONFIG_BYTES}"
        )["Body"].read()
        weights = s3.get_object(Bucket=source.bucket, Key=source.prefix + WEIGHTS_FILE, Range="bytes=0-0")
    except s3.exceptions.ClientError as error:
        if not (is_absent(error) or is_denied(error)):
            raise
        return LockProblem(
            entry.name,
            f"S3 answers {error_code(error)} to its files in {source.bucket}",
            "check that the revision has not expired, that store_readers of the giving stage has this "
            "account, and that decrypt_keys of this stage has the key of the giving store",
        )
    size = int(weights["ContentRange"].rpartition("/")[2])
    digest = content_digest({CONFIG_FILE: hashlib.sha256(config).hexdigest(), WEIGHTS_FILE: entry.sha256})
    if (digest, size) != (entry.digest, entry.size):
        return LockProblem(
            entry.name,
            f"its files in {source.bucket} are not what was published",
            "run the command adapters verify on the giving stage, which says how to restore them",
        )
    return None


def _exists(s3: S3Client, bucket: str, key: str) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except s3.exceptions.ClientError as error:
        if is_absent(error):
            return False
        raise
    return True


def _lock_again(giving: str) -> str:
    return f"lock again: python -m loraserve adapters lock --from {giving}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
