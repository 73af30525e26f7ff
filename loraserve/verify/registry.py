"""The registry of the stage's store, as it is at the verification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from adapters.store.layout import REGISTRY_PREFIX, RegistryEntry, registered_name
from adapters.store.registry import AdapterRegistry
from adapters.store.s3 import S3Client, listing
from loraserve.adapters.open_store import deployed_bucket
from loraserve.adapters.stage_store import in_parallel
from loraserve.aws import Client
from stacks.config.stage_target import StageTarget


@dataclass(frozen=True, kw_only=True)
class RegistrySnapshot:
    """The published adapters."""

    s3: S3Client
    bucket: str
    entries: Mapping[str, RegistryEntry]
    """By name."""
    written: Mapping[str, datetime]
    """Time of the last write of each name's entry."""

    def changed(self, since: datetime | None) -> list[str]:
        """List the names that were published since a time; none without one."""
        return sorted(name for name in self.entries if since is not None and self.written[name] >= since)


def read_registry(target: StageTarget, client: Client) -> RegistrySnapshot:
    """Read every entry; raises `NotDeployed`, `DamagedEntry` and boto3's errors."""
    s3, bucket = client("s3"), deployed_bucket(client("cloudformation"), target)
    written = {
        registered_name(item["Key"]): item["LastModified"] for item in listing(s3, bucket, REGISTRY_PREFIX)
    }
    found = in_parallel(AdapterRegistry(s3, bucket).get, sorted(written))
    entries = {published.entry.name: published.entry for published in found if published is not None}
    return RegistrySnapshot(s3=s3, bucket=bucket, entries=entries, written=written)
