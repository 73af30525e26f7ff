"""Comparing the objects in the bucket with the registry, byte for byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from adapters.errors import AdapterError
from adapters.files import sha256_of_chunks
from adapters.store.layout import (
    ADAPTER_FILES,
    CONFIG_FILE,
    WEIGHTS_FILE,
    RegistryEntry,
    content_digest,
    revision_of,
)
from adapters.store.registry import DamagedEntry
from adapters.store.s3 import S3Client, chunks_of, is_absent
from adapters.validation.adapter_config import MAX_CONFIG_BYTES
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.check_adapter import check_adapter
from ingest.s3_object import S3File
from loraserve.adapters.stage_store import StageStore, in_parallel

#: Adapters that are read at the same time, one file of each.
PARALLEL_ADAPTERS = 4
_BRING_BACK = "the bucket was changed directly: restore the object's former version, or roll back"
_SHOWN_DIGITS = 12


@dataclass(frozen=True)
class StoreFinding:
    """A defect of a published adapter."""

    name: str
    revision: str
    problem: str
    remedy: str


def size_of(store: StageStore, names: Sequence[str]) -> int:
    """Return the approximate number of bytes that `verify` reads."""

    def one(name: str) -> int:
        try:
            seen = store.published(name)
        except DamagedEntry:
            return 0
        return seen.entry.size if seen else 0

    return sum(in_parallel(one, names))


def verify(
    store: StageStore,
    names: Sequence[str],
    base: BaseModelFacts | None,
    moved: Callable[[int], None] = lambda _: None,
) -> list[StoreFinding]:
    """Return the defects of these names; `moved` is called with the size of each chunk read.

    A name that is not published has no defects.
    """

    def one(name: str) -> list[StoreFinding]:
        try:
            seen = store.published(name)
            while seen is not None:
                found = list(_findings(store, seen.entry, base, moved))
                # A publication in the meantime is no defect; its revision is read instead.
                now = store.published(name) if found else seen
                if now == seen:
                    return found
                seen = now
        except DamagedEntry as error:
            return [StoreFinding(name, "", error.problem, error.remedy)]
        return []

    return [finding for found in in_parallel(one, names, PARALLEL_ADAPTERS) for finding in found]


def _findings(
    store: StageStore, entry: RegistryEntry, base: BaseModelFacts | None, moved: Callable[[int], None]
) -> Iterator[StoreFinding]:
    def finding(problem: str, remedy: str) -> StoreFinding:
        return StoreFinding(entry.name, entry.revision, problem, remedy)

    found = store.revision(entry.name, entry.revision)
    missing = [file for file in ADAPTER_FILES if file not in found.objects]
    if missing:
        yield finding(f"{' and '.join(missing)} missing", _BRING_BACK)
        return
    for extra in sorted(set(found.objects) - set(ADAPTER_FILES)):
        yield finding(
            f"{extra} is an unexpected file", f"delete it: LoRAX downloads all under {entry.prefix}"
        )
    if store.retention.is_retired(entry.prefix):
        yield finding("it is marked retired, and will be deleted", "the command gc removes the mark")
    defects = content_problems(store.s3, store.bucket, entry, moved)
    yield from (finding(defect, _BRING_BACK) for defect in defects)
    try:
        config, weights = (S3File(store.s3, store.bucket, entry.prefix + file) for file in ADAPTER_FILES)
        check_adapter(entry.name, config.read(0, MAX_CONFIG_BYTES), weights, store.rules, base)
    except AdapterError as error:
        yield finding(error.problem, error.remedy)


def content_problems(
    s3: S3Client, bucket: str, entry: RegistryEntry, moved: Callable[[int], None] = lambda _: None
) -> Iterator[str]:
    """Read both files of an adapter, and yield each difference from its registry entry."""
    sizes: Counter[str] = Counter()
    sha256 = {}
    for file in ADAPTER_FILES:

        def count(size: int, file: str = file) -> None:
            sizes[file] += size
            moved(size)

        try:
            sha256[file] = sha256_of_chunks(chunks_of(s3, bucket, entry.prefix + file), count)
        except s3.exceptions.ClientError as error:
            if not is_absent(error):
                raise
            yield f"{file} is missing"
            return
    if sha256[WEIGHTS_FILE] != entry.sha256:
        size, digest = sizes[WEIGHTS_FILE], sha256[WEIGHTS_FILE][:_SHOWN_DIGITS]
        yield (
            f"{WEIGHTS_FILE} is not what was published: {size} bytes that hash to {digest}…, the registry "
            f"says {entry.size} bytes and {entry.sha256[:_SHOWN_DIGITS]}…"
        )
    elif content_digest(sha256) != entry.digest:
        yield f"{CONFIG_FILE} is not what was published"
    if revision_of(entry.digest) != entry.revision:
        yield f"its registry entry has the digest {entry.digest}, which is that of another revision"
