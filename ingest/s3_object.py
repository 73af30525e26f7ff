"""Readable S3 objects: the manifest asset, adapters of another bucket, mirrored models."""

from __future__ import annotations

import base64

from adapters.source import SourceError
from adapters.store.s3 import S3Client, error_code, is_denied, is_outage


class S3File:
    """One object at the ETag that it had when it was located: if it is replaced, reading fails."""

    sequential = False

    def __init__(self, s3: S3Client, bucket: str, key: str) -> None:
        """Request the object's metadata; raises `SourceError` if it is absent or may not be read."""
        self._s3 = s3
        self.bucket = bucket
        self.key = key
        try:
            head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        except s3.exceptions.ClientError as error:
            if is_outage(error):
                raise
            raise self._unreadable(error) from error
        self.size: int = head["ContentLength"]
        self.etag: str = head["ETag"]
        self._checksum: str = head.get("ChecksumSHA256", "")

    @property
    def sha256(self) -> str | None:
        """SHA-256 (hex) of the whole object; None if S3 has none, as for an upload in parts."""
        if not self._checksum or "-" in self._checksum:
            return None
        return base64.b64decode(self._checksum).hex()

    def read(self, start: int, length: int) -> bytes:
        """Read a range, as `adapters.files.ReadableFile.read`; raises `SourceError`."""
        end = min(start + length, self.size) - 1
        if end < start:
            return b""
        try:
            answer = self._s3.get_object(
                Bucket=self.bucket, Key=self.key, Range=f"bytes={start}-{end}", IfMatch=self.etag
            )
        except self._s3.exceptions.ClientError as error:
            if is_outage(error):
                raise
            raise self._unreadable(error) from error
        return bytes(answer["Body"].read())

    def _unreadable(self, error: Exception) -> SourceError:
        if is_denied(error):
            return SourceError(
                f"s3://{self.bucket}/{self.key}",
                f"S3 answers {error_code(error)} to s3:GetObject",
                "allow it in the bucket's policy, and kms:Decrypt in its key's; check that it exists: "
                "S3 denies a missing one without s3:ListBucket",
            )
        return SourceError(
            f"s3://{self.bucket}/{self.key}",
            f"S3 answers {error_code(error)}",
            "check that it exists, that no process is writing it, and that it may be read from here",
        )
