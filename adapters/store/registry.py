"""The registry: for each published name, the revision that it points to.

An entry is one object, replaced by a conditional write: a reader sees the old or the new revision, and of two
publishers at the same time one gets `PublishConflict`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters.errors import AdapterError
from adapters.store.layout import (
    REGISTRY_PREFIX,
    RegistryEntry,
    UnreadableEntry,
    registered_name,
    registry_key,
)
from adapters.store.s3 import S3Client, is_absent, is_conflict, listing


class DamagedEntry(AdapterError):
    """A registry entry that cannot be read."""


class PublishConflict(AdapterError):
    """A name that has another owner, or whose entry another publisher has changed in the meantime."""


@dataclass(frozen=True)
class Published:
    """An entry as it is stored in the registry."""

    entry: RegistryEntry
    etag: str
    """ETag of the object, the condition of the next write: each write changes it."""


@dataclass(frozen=True)
class EntryVersion:
    """A past version of an entry; `entry` is None if it was removed then."""

    entry: RegistryEntry | None
    since: datetime


class AdapterRegistry:
    """The registry of one bucket."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        """`s3` is boto3's client."""
        self._s3 = s3
        self._bucket = bucket

    def etags(self) -> dict[str, str]:
        """Return every published name, with the ETag of its entry."""
        found = listing(self._s3, self._bucket, REGISTRY_PREFIX)
        return {registered_name(item["Key"]): item["ETag"] for item in found}

    def get(self, name: str) -> Published | None:
        """Return the entry of a name, None if it is not published; raises `DamagedEntry`."""
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=registry_key(name))
        except self._s3.exceptions.ClientError as error:
            if is_absent(error):
                return None
            raise
        try:
            entry = RegistryEntry.from_json(answer["Body"].read())
        except UnreadableEntry as error:
            raise DamagedEntry(
                name,
                f"its registry entry {registry_key(name)} is damaged",
                "bring back the object's former version, or delete it",
            ) from error
        return Published(entry, answer["ETag"])

    def put(self, entry: RegistryEntry, replaces: Published | None) -> Published:
        """Write an entry if the name's entry is still `replaces`; raises `PublishConflict` otherwise.

        Idempotent: the second write of a retried event changes nothing.
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
        """Remove an entry if it is still `seen`; raises `PublishConflict` otherwise."""
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
        """Yield the versions of an entry, newest first, as far back as the bucket keeps them.

        Damaged versions are left out.
        """
        key = registry_key(name)
        found: list[dict[str, Any]] = []
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=key):
            found += [item for kind in ("Versions", "DeleteMarkers") for item in page.get(kind, [])]
        # S3's dates have seconds: of two versions of one second, IsLatest marks the later one.
        for item in sorted(found, key=lambda item: (item["IsLatest"], item["LastModified"]), reverse=True):
            if item["Key"] != key:
                continue
            entry = None
            if "Size" in item:
                body = self._s3.get_object(Bucket=self._bucket, Key=key, VersionId=item["VersionId"])["Body"]
                try:
                    entry = RegistryEntry.from_json(body.read())
                except UnreadableEntry:
                    # A damaged version that was repaired since.
                    continue
            yield EntryVersion(entry, item["LastModified"])


def _changed(name: str) -> PublishConflict:
    problem = "another publisher has published or removed it just now"
    return PublishConflict(name, problem, "check what is published, and try again")
