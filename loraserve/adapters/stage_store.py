"""A stage's adapter store: the published adapters and the objects in the bucket."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TypeVar

from adapters.errors import AdapterError, InvalidName
from adapters.names import Reference, check_name, check_revision
from adapters.store.layout import (
    ADAPTER_FILES,
    ADAPTERS_PREFIX,
    REGISTRY_PREFIX,
    RegistryEntry,
    adapter_prefix,
    registered_name,
)
from adapters.store.registry import AdapterRegistry, Published
from adapters.store.retention import Retention
from adapters.store.s3 import S3Client, listing
from adapters.validation.rules import Rules
from stacks.config.local_adapters import stage_rules
from stacks.config.stage_config import LoadedStage

#: Small S3 requests that are sent at the same time.
PARALLEL_REQUESTS = 16

#: The stack with the adapter store, as `stacks.stage` names it.
STORE_STACK = "AdapterStore"

T = TypeVar("T")
R = TypeVar("R")


class UnknownAdapter(AdapterError):
    """A name that is not published."""


@dataclass(frozen=True)
class StoredObject:
    """An object of a revision."""

    size: int
    modified: datetime


@dataclass(frozen=True)
class Revision:
    """One revision in the bucket, complete or not."""

    name: str
    revision: str
    objects: dict[str, StoredObject]
    """All objects under the revision's prefix, by file name."""

    @property
    def prefix(self) -> str:
        """Prefix of its objects, which is the engine's id of the adapter."""
        return adapter_prefix(self.name, self.revision)

    @property
    def is_complete(self) -> bool:
        """True if the bucket has both files."""
        return all(file in self.objects for file in ADAPTER_FILES)

    @property
    def size(self) -> int:
        """Number of bytes of all its objects."""
        return sum(found.size for found in self.objects.values())

    @property
    def modified(self) -> datetime:
        """Time at which the newest of its objects was written or retired."""
        return max(found.modified for found in self.objects.values())


@dataclass(frozen=True)
class PublishedAdapter:
    """A published adapter."""

    entry: RegistryEntry
    published: datetime
    """Time of the last write of its entry."""


@dataclass(frozen=True)
class StageStore:
    """The store of one stage, with an S3 client that has the user's credentials."""

    stage: LoadedStage
    s3: S3Client
    bucket: str

    @cached_property
    def registry(self) -> AdapterRegistry:
        """The registry: the revision that each name points to."""
        return AdapterRegistry(self.s3, self.bucket)

    @cached_property
    def retention(self) -> Retention:
        """The marks of retired revisions."""
        return Retention(self.s3, self.bucket)

    @property
    def stack(self) -> str:
        """The stack whose manifest fills this store."""
        return self.stage.stack_name(STORE_STACK)

    @property
    def rules(self) -> Rules:
        """The stage's rules for adapters."""
        config = self.stage.config
        return stage_rules(config.engine, config.base_model)

    def published(self, name: str) -> Published | None:
        """Read the entry of a name, None if it is not published; raises `InvalidName` or `DamagedEntry`."""
        check_name(name)
        return self.registry.get(name)

    def get(self, name: str) -> Published:
        """Read the entry of a name; raises `UnknownAdapter` if it is not published."""
        found = self.published(name)
        if found is None:
            raise self.unknown(name)
        return found

    def unknown(self, name: str) -> UnknownAdapter:
        """Make the error for a name that is not published, with similar names."""
        close = difflib.get_close_matches(name, self.registry.etags(), n=3)
        remedy = f"did you mean {', '.join(map(repr, close))}?" if close else "the command list shows all"
        return UnknownAdapter(name, "it is not published in this store", remedy)

    def list(self, prefix: str = "") -> list[PublishedAdapter]:
        """List the published adapters whose name has this prefix, by name."""
        times = {
            registered_name(item["Key"]): item["LastModified"]
            for item in listing(self.s3, self.bucket, REGISTRY_PREFIX + prefix)
        }
        found = in_parallel(self.published, sorted(times))
        # An adapter may have been removed since the listing.
        return [PublishedAdapter(now.entry, times[now.entry.name]) for now in found if now is not None]

    def revisions(self, prefix: str = ADAPTERS_PREFIX) -> dict[str, Revision]:
        """Find the revisions under a prefix, by the prefix of each; other objects are skipped."""
        groups: dict[str, dict[str, StoredObject]] = defaultdict(dict)
        for item in listing(self.s3, self.bucket, prefix):
            folder, _, file = item["Key"].rpartition("/")
            groups[folder + "/"][file] = StoredObject(item["Size"], item["LastModified"])
        named = {folder: _reference(folder) for folder in groups}
        return {
            folder: Revision(found.name, found.revision, groups[folder])
            for folder, found in named.items()
            if found is not None and found.revision is not None
        }

    def revision(self, name: str, revision: str) -> Revision:
        """Find one revision; without objects in the bucket it has none."""
        prefix = adapter_prefix(name, revision)
        return self.revisions(prefix).get(prefix, Revision(name, revision, {}))

    def is_current(self, revision: Revision) -> bool:
        """Return True if its name points to it now."""
        found = self.published(revision.name)
        return found is not None and found.entry.revision == revision.revision


def in_parallel(work: Callable[[T], R], items: Iterable[T], threads: int = PARALLEL_REQUESTS) -> list[R]:
    """Do the work for each item in threads; return the results in order, or raise the first error."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def _reference(folder: str) -> Reference | None:
    """Parse the prefix of a revision; None for any other prefix."""
    name, _, revision = folder.removeprefix(ADAPTERS_PREFIX).removesuffix("/").rpartition("/")
    try:
        return Reference(check_name(name), check_revision(name, revision))
    except InvalidName:
        return None
