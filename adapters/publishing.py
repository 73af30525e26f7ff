"""Publishing adapters into the store: immutable objects first, then the registry entry.

Takes an S3 client (boto3's), so that this package stays free of dependencies.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Protocol

from adapters.errors import AdapterError
from adapters.files import AdapterFiles
from adapters.store import (
    ADAPTER_FILES,
    REGISTRY_PREFIX,
    RegistryEntry,
    adapter_prefix,
    registry_key,
    revision_of,
)


class PublishConflict(AdapterError):
    """Somebody else owns the name, or has changed it in the meantime."""


class S3Client(Protocol):
    """The calls of a boto3 S3 client that publishing makes."""

    exceptions: Any

    def put_object(self, **kwargs: Any) -> dict[str, Any]:
        """Upload one object."""

    def get_object(self, **kwargs: Any) -> dict[str, Any]:
        """Download one object."""

    def head_object(self, **kwargs: Any) -> dict[str, Any]:
        """Ask for an object's metadata."""

    def copy_object(self, **kwargs: Any) -> dict[str, Any]:
        """Copy an object inside S3."""

    def delete_object(self, **kwargs: Any) -> dict[str, Any]:
        """Delete one object."""

    def get_paginator(self, operation: str) -> Any:
        """Page through a listing."""


def error_code(error: Exception) -> str:
    """The S3 error code of a botocore ClientError, e.g. `NoSuchKey`; empty for other errors."""
    response = getattr(error, "response", None)
    return str(response["Error"]["Code"]) if isinstance(response, dict) else ""


def _s3_checksum(sha256: str) -> str:
    """A SHA-256 as S3 writes it: base64 instead of hexadecimal."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


class AdapterBucket:
    """The store's bucket, as publishers see it."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        """`s3` is a boto3 S3 client."""
        self._s3 = s3
        self.name = bucket

    def put_if_absent(self, key: str, body: Any, sha256: str) -> bool:
        """Upload an immutable object unless it is there; S3 checks the content. Whether it moved."""
        if self._same(key, sha256):
            return False
        try:
            self._s3.put_object(
                Bucket=self.name, Key=key, Body=body, ChecksumSHA256=_s3_checksum(sha256), IfNoneMatch="*"
            )
        except self._s3.exceptions.ClientError as error:
            if error_code(error) != "PreconditionFailed":
                raise
            return False
        return True

    def _same(self, key: str, sha256: str) -> bool:
        try:
            head = self._s3.head_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED")
        except self._s3.exceptions.ClientError as error:
            if error_code(error) not in {"404", "NoSuchKey", "NotFound"}:
                raise
            return False
        if head.get("ChecksumSHA256") != _s3_checksum(sha256):
            raise PublishConflict(key, "the store has other content under this immutable key", "delete it")
        return True

    def upload(self, name: str, files: AdapterFiles) -> int:
        """Upload one revision of an adapter; returns the bytes moved (0 if it was there)."""
        prefix = adapter_prefix(name, revision_of(files.digest))
        moved = 0
        for file in ADAPTER_FILES:
            path = files.directory / file
            with path.open("rb") as body:
                if self.put_if_absent(prefix + file, body, files.sha256[file]):
                    moved += path.stat().st_size
        return moved

    def copy(self, source: str, target: str, files: AdapterFiles) -> None:
        """Make a revision that is published as `source` available as `target`, inside S3."""
        revision = revision_of(files.digest)
        for file in ADAPTER_FILES:
            key = adapter_prefix(target, revision) + file
            if not self._same(key, files.sha256[file]):
                self._s3.copy_object(
                    Bucket=self.name,
                    Key=key,
                    CopySource={"Bucket": self.name, "Key": adapter_prefix(source, revision) + file},
                    ChecksumAlgorithm="SHA256",
                )

    def entry(self, name: str) -> tuple[RegistryEntry, str] | None:
        """The registry entry of a name and its ETag, or None."""
        try:
            response = self._s3.get_object(Bucket=self.name, Key=registry_key(name))
        except self._s3.exceptions.NoSuchKey:
            return None
        return RegistryEntry.from_json(response["Body"].read()), response["ETag"]

    def entries(self) -> Iterator[RegistryEntry]:
        """All registry entries."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=REGISTRY_PREFIX)
        for page in pages:
            for item in page.get("Contents", []):
                name = item["Key"].removeprefix(REGISTRY_PREFIX).removesuffix(".json")
                found = self.entry(name)
                if found is not None:
                    yield found[0]

    def check_owner(self, name: str, owner: str) -> None:
        """Raise `PublishConflict` if another owner has published the name."""
        found = self.entry(name)
        if found is not None and found[0].owner != owner:
            raise PublishConflict(
                name,
                f"the name is published by {found[0].owner!r}",
                "remove it there, or choose another name",
            )

    def point(self, entry: RegistryEntry) -> bool:
        """Make the registry point at a revision; whether it changed.

        A conditional write: raises `PublishConflict` if the entry changed between reading and writing.
        """
        found = self.entry(entry.name)
        if found is not None and found[0] == entry:
            return False
        condition = {"IfNoneMatch": "*"} if found is None else {"IfMatch": found[1]}
        try:
            self._s3.put_object(
                Bucket=self.name,
                Key=registry_key(entry.name),
                Body=entry.to_json(),
                ContentType="application/json",
                **condition,
            )
        except self._s3.exceptions.ClientError as error:
            if error_code(error) not in {"PreconditionFailed", "ConditionalRequestConflict"}:
                raise
            raise PublishConflict(
                entry.name, "it was published by somebody else just now", "try again"
            ) from error
        return True

    def unpublish(self, name: str) -> None:
        """Delete a registry entry; the adapter's objects stay, so that it can be brought back."""
        self._s3.delete_object(Bucket=self.name, Key=registry_key(name))
