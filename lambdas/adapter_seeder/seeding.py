"""Make the store match the desired state, in two phases: all objects first, then the registry.

If one adapter fails, the registry is not touched: the endpoint keeps serving what it served.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.errors import AdapterError
from adapters.files import AdapterFiles, sha256_of
from adapters.publishing import AdapterBucket, S3Client
from adapters.store import RegistryEntry, revision_of
from lambdas.adapter_seeder.desired import DesiredAdapter, DesiredState
from lambdas.adapter_seeder.sources import fetch

#: Adapters at once. Transfers wait for the network more than for the processor.
PARALLEL_ADAPTERS = 8
#: CloudFormation cuts a custom resource's answer at 4 kB.
MAX_MESSAGE_CHARACTERS = 3000


class OutOfTime(Exception):
    """The invocation must end; the next one goes on from what is in the bucket."""


class SeedingFailed(Exception):
    """At least one adapter cannot be published; the message lists each with reason and remedy."""

    def __init__(self, errors: list[AdapterError]) -> None:
        """Lists as many as fit into CloudFormation's answer."""
        lines = [f"{len(errors)} adapter(s) cannot be published; nothing was changed.", *map(str, errors)]
        text = "\n".join(lines)
        if len(text) > MAX_MESSAGE_CHARACTERS:
            text = text[:MAX_MESSAGE_CHARACTERS] + "…"
        super().__init__(text)


@dataclass(frozen=True)
class Report:
    """What a seeding did."""

    adapters: int
    published: int
    unpublished: int
    bytes_moved: int

    def to_json(self) -> str:
        """One log line."""
        return json.dumps({"seeding": asdict(self)})


def seed(
    bucket: AdapterBucket,
    s3: S3Client,
    desired: DesiredState,
    *,
    engine: str,
    max_rank: int,
    base_model: str,
    owner: str,
    has_time: Callable[[], bool],
) -> Report:
    """Upload what is missing, then point the registry at it and unpublish what is not desired.

    Raises `SeedingFailed` if an adapter is bad, `OutOfTime` when `has_time` says so.
    """

    def prepare(adapter: DesiredAdapter) -> tuple[list[RegistryEntry], int] | AdapterError:
        if not has_time():
            raise OutOfTime
        try:
            return _upload(adapter, bucket, s3, desired.folder, engine, max_rank, base_model, owner)
        except AdapterError as error:
            return error

    moved = _upload_model(bucket, desired)
    with ThreadPoolExecutor(PARALLEL_ADAPTERS) as pool:
        results = list(pool.map(prepare, desired.adapters))
    errors = [result for result in results if isinstance(result, AdapterError)]
    if errors:
        raise SeedingFailed(errors)
    ready = [result for result in results if not isinstance(result, AdapterError)]
    entries = [entry for adapter_entries, _ in ready for entry in adapter_entries]
    with ThreadPoolExecutor(PARALLEL_ADAPTERS) as pool:
        changed = sum(pool.map(bucket.point, entries))
    wanted = {entry.name for entry in entries}
    gone = [entry.name for entry in bucket.entries() if entry.owner == owner and entry.name not in wanted]
    for name in gone:
        bucket.unpublish(name)
    return Report(
        adapters=len(entries),
        published=changed,
        unpublished=len(gone),
        bytes_moved=moved + sum(count for _, count in ready),
    )


def _upload(
    adapter: DesiredAdapter,
    bucket: AdapterBucket,
    s3: S3Client,
    asset: Path,
    engine: str,
    max_rank: int,
    base_model: str,
    owner: str,
) -> tuple[list[RegistryEntry], int]:
    first = adapter.names[0]
    for name in adapter.names:
        bucket.check_owner(name, owner)
    with TemporaryDirectory(prefix="adapter-") as folder:
        source = fetch(first, adapter.source, s3, asset, Path(folder))
        files = AdapterFiles.check(
            first,
            Path(folder),
            engine=engine,
            max_rank=max_rank,
            base_model=base_model,
            sha256=adapter.sha256,
        )
        moved = bucket.upload(first, files)
        for name in adapter.names[1:]:
            bucket.copy(first, name, files)
        return [
            RegistryEntry(
                name=name,
                revision=revision_of(files.digest),
                digest=files.digest,
                rank=files.facts.rank,
                size=files.size,
                base_model=base_model,
                source=source,
                owner=owner,
                labels=adapter.labels,
            )
            for name in adapter.names
        ], moved


def _upload_model(bucket: AdapterBucket, desired: DesiredState) -> int:
    moved = 0
    if desired.model_prefix is not None:
        for file in desired.model_files:
            path = desired.folder / "model" / file
            with path.open("rb") as body:
                if bucket.put_if_absent(desired.model_prefix + file, body, sha256_of(path)):
                    moved += path.stat().st_size
    return moved
