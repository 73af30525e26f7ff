"""The registry: for each published name, the revision that it stands for now.

An entry is one object, replaced by a conditional write: a reader sees the old or the new revision, and of
two publishers one is told that the other was first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters.errors import AdapterError
from adapters.store.layout import REGISTRY_PREFIX, RegistryEntry, registered_name, registry_key
from adapters.store.s3 import S3Client, is_absent, is_conflict, listing


class DamagedEntry(AdapterError):
    """A registry entry that cannot be read."""


class PublishConflict(AdapterError):
    """Somebody else owns the name, or has changed it in the meantime."""


@dataclass(frozen=True)
class Published:
    """An entry as it lies in the registry."""

    entry: RegistryEntry
    etag: str
    """Changes with each write: the condition of the next one."""


@dataclass(frozen=True)
class EntryVersion:
    """What an entry was at some time; `entry` is None where it was removed."""

    entry: RegistryEntry | None
    since: datetime


class Registry:
    """The registry of one bucket."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        """`s3` is boto3's client."""
        self._s3 = s3
        self._bucket = bucket

    def etags(self) -> dict[str, str]:
        """Every published name, with the ETag of its entry."""
        found = listing(self._s3, self._bucket, REGISTRY_PREFIX)
        return {registered_name(item["Key"]): item["ETag"] for item in found}

    def get(self, name: str) -> Published | None:
        """The entry of a name, None if it is not published; raises `DamagedEntry`."""
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=registry_key(name))
        except self._s3.exceptions.ClientError as error:
            if is_absent(error):
                return None
            raise
        try:
            entry = RegistryEntry.from_json(answer["Body"].read())
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise DamagedEntry(
                name,
                f"its registry entry {registry_key(name)} is damaged",
                "bring back the object's former version, or delete it",
            ) from error
        return Published(entry, answer["ETag"])

    def put(self, entry: RegistryEntry, replaces: Published | None) -> Published:
        """Write an entry in the place of what the caller has seen; raises `PublishConflict`.

        Written twice (a retried event), the second time changes nothing.
        """
        condition = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces.etag}
        try:
            answer = self._s3.put_object(
                Bucket=self._bucket,
                Key=registry_key(entry.name),
                Body=entry.to_json(),
                ContentType="application/json",
                **condition,
            )
        except self._s3.exceptions.ClientError as error:
            if not (is_conflict(error) or is_absent(error)):
                raise
            now = self.get(entry.name)
            if now is None or now.entry != entry:
                raise _changed(entry.name) from error
            return now
        return Published(entry, answer["ETag"])

    def delete(self, seen: Published) -> None:
        """Remove an entry that is still what the caller has seen; raises `PublishConflict` otherwise."""
        name = seen.entry.name
        try:
            self._s3.delete_object(Bucket=self._bucket, Key=registry_key(name), IfMatch=seen.etag)
        except self._s3.exceptions.ClientError as error:
            if is_absent(error):
                return
            if is_conflict(error):
                raise _changed(name) from error
            raise

    def history(self, name: str) -> Iterator[EntryVersion]:
        """What the entry was, newest first, as far back as the bucket keeps old versions."""
        key = registry_key(name)
        found: list[dict[str, Any]] = []
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=key):
            found += [item for kind in ("Versions", "DeleteMarkers") for item in page.get(kind, [])]
        # S3 dates to the second, so the date alone does not tell which is the latest.
        for item in sorted(found, key=lambda item: (item["IsLatest"], item["LastModified"]), reverse=True):
            if item["Key"] != key:
                continue
            entry = None
            if "Size" in item:
                body = self._s3.get_object(Bucket=self._bucket, Key=key, VersionId=item["VersionId"])["Body"]
                entry = RegistryEntry.from_json(body.read())
            yield EntryVersion(entry, item["LastModified"])


def _changed(name: str) -> PublishConflict:
    return PublishConflict(name, "somebody else has published or removed it just now", "look, and try again")
