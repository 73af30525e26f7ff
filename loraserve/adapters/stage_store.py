"""A stage's adapter store: what is published, and what lies in the bucket."""

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
from adapters.store.registry import Published, Registry
from adapters.store.retention import Retention
from adapters.store.s3 import S3Client, listing
from adapters.validation.check_adapter import Rules
from stacks.config.local_adapters import stage_rules
from stacks.config.stage_config import LoadedStage

#: Small requests at once.
PARALLEL_REQUESTS = 16

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
    """One revision as it lies in the bucket, complete or not."""

    name: str
    revision: str
    objects: dict[str, StoredObject]
    """By file name; whatever else lies there is among them."""

    @property
    def prefix(self) -> str:
        """Where it lies: the engine's id of it."""
        return adapter_prefix(self.name, self.revision)

    @property
    def is_complete(self) -> bool:
        """Whether both files are there."""
        return all(file in self.objects for file in ADAPTER_FILES)

    @property
    def size(self) -> int:
        """Bytes of all its objects."""
        return sum(found.size for found in self.objects.values())

    @property
    def modified(self) -> datetime:
        """When the newest of its objects was put, or retired."""
        return max(found.modified for found in self.objects.values())


@dataclass(frozen=True)
class PublishedAdapter:
    """A published adapter."""

    entry: RegistryEntry
    published: datetime
    """When its entry was last written."""


@dataclass(frozen=True)
class StageStore:
    """The store of one stage, reached with a person's credentials."""

    stage: LoadedStage
    s3: S3Client
    bucket: str

    @cached_property
    def registry(self) -> Registry:
        """Which revision each name stands for."""
        return Registry(self.s3, self.bucket)

    @cached_property
    def retention(self) -> Retention:
        """Retires revisions and brings them back."""
        return Retention(self.s3, self.bucket)

    @property
    def stack(self) -> str:
        """The stack whose manifest fills this store."""
        return store_stack(self.stage)

    @property
    def rules(self) -> Rules:
        """What the stage demands of an adapter."""
        config = self.stage.config
        return stage_rules(config.engine, config.base_model.name)

    def published(self, name: str) -> Published | None:
        """The entry of a name, None if it is not published; raises `InvalidName` or `DamagedEntry`."""
        check_name(name)
        return self.registry.get(name)

    def get(self, name: str) -> Published:
        """The entry of a name that is published; raises `UnknownAdapter` otherwise."""
        found = self.published(name)
        if found is None:
            raise self.unknown(name)
        return found

    def unknown(self, name: str) -> UnknownAdapter:
        """What to tell who names an adapter that is not there."""
        close = difflib.get_close_matches(name, self.registry.etags(), n=3)
        remedy = f"did you mean {', '.join(map(repr, close))}?" if close else "the command list shows all"
        return UnknownAdapter(name, "it is not published in this store", remedy)

    def list(self, prefix: str = "") -> list[PublishedAdapter]:
        """Every published adapter whose name begins like this, by name."""
        times = {
            registered_name(item["Key"]): item["LastModified"]
            for item in listing(self.s3, self.bucket, REGISTRY_PREFIX + prefix)
        }
        found = in_parallel(self.published, sorted(times))
        # One may have been removed since the listing.
        return [PublishedAdapter(now.entry, times[now.entry.name]) for now in found if now is not None]

    def revisions(self, prefix: str = ADAPTERS_PREFIX) -> dict[str, Revision]:
        """What lies below a prefix, by the prefix of each revision; what lies elsewhere is passed over."""
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
        """One revision; if nothing of it is there, it has no objects."""
        prefix = adapter_prefix(name, revision)
        return self.revisions(prefix).get(prefix, Revision(name, revision, {}))

    def is_current(self, revision: Revision) -> bool:
        """Whether its name stands for it just now."""
        found = self.published(revision.name)
        return found is not None and found.entry.revision == revision.revision


def store_stack(stage: LoadedStage) -> str:
    """The name of the stack with a stage's store; `stacks.stage` makes it."""
    return f"LoraServing-{stage.name.capitalize()}-AdapterStore"


def in_parallel(work: Callable[[T], R], items: Iterable[T], threads: int = PARALLEL_REQUESTS) -> list[R]:
    """The work's results in the order of the items, or its first error."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def _reference(folder: str) -> Reference | None:
    """The revision whose objects lie in a folder, None if no revision's do."""
    name, _, revision = folder.removeprefix(ADAPTERS_PREFIX).removesuffix("/").rpartition("/")
    try:
        return Reference(check_name(name), check_revision(name, revision))
    except InvalidName:
        return None
