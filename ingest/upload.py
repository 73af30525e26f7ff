"""Uploading revisions to the bucket: the weights first, the config once they are complete and verified."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from adapters.errors import InvalidAdapter
from adapters.files import BytesFile
from adapters.source import SourceError
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE, adapter_prefix
from adapters.store.s3 import S3Client, error_code, is_outage
from adapters.store.transfer import ContentMismatch, Transfers
from ingest.candidate import Candidate
from ingest.pytorch.converted_file import ConvertedFile
from ingest.s3_object import S3File


class Uploader:
    """Uploads of adapters to one bucket."""

    def __init__(self, s3: S3Client, bucket: str, transfers: Transfers, stored: Mapping[str, int]) -> None:
        """`stored` has the keys in the bucket, with their sizes in bytes."""
        self._s3 = s3
        self._bucket = bucket
        self._transfers = transfers
        self._stored = stored

    def is_complete(self, prefix: str) -> bool:
        """Return whether both files of a revision are in the bucket."""
        return prefix + CONFIG_FILE in self._stored and prefix + WEIGHTS_FILE in self._stored

    def put(self, name: str, candidate: Candidate) -> None:
        """Upload a revision; raises `InvalidAdapter`, `SourceError` or `OutOfTime`."""
        prefix = adapter_prefix(name, candidate.revision)
        if self.is_complete(prefix):
            return
        try:
            self._put_weights(prefix + WEIGHTS_FILE, candidate)
        except ContentMismatch as mismatch:
            raise InvalidAdapter(
                name,
                f"its weights hash to {mismatch.found}, expected {mismatch.expected}",
                "the source was damaged or changed: check it, and the manifest's sha256 if there is one",
            ) from mismatch
        finally:
            if isinstance(candidate.files.weights, ConvertedFile):
                candidate.files.weights.forget()
        config = candidate.files.config
        sha256 = hashlib.sha256(config).hexdigest()
        self._transfers.put(prefix + CONFIG_FILE, BytesFile(config), sha256)

    def copy(self, source: str, target: str, candidate: Candidate) -> None:
        """Copy a revision from one name to another, inside S3."""
        prefix = adapter_prefix(target, candidate.revision)
        if self.is_complete(prefix):
            return
        origin = adapter_prefix(source, candidate.revision)
        for file in (WEIGHTS_FILE, CONFIG_FILE):
            self._copy_object(prefix + file, {"Bucket": self._bucket, "Key": origin + file})

    def _put_weights(self, key: str, candidate: Candidate) -> None:
        weights = candidate.files.weights
        if self._stored.get(key) == weights.size:
            # Uploaded by an attempt that ended before the weights were verified, or before that was saved.
            self._transfers.verify(key, candidate.sha256)
        elif isinstance(weights, S3File):
            self._copy_from_s3(key, weights)
        else:
            self._transfers.put(key, weights, candidate.sha256)

    def _copy_from_s3(self, key: str, weights: S3File) -> None:
        try:
            self._copy_object(
                key, {"Bucket": weights.bucket, "Key": weights.key}, CopySourceIfMatch=weights.etag
            )
        except self._s3.exceptions.ClientError as error:
            if is_outage(error):
                raise
            raise SourceError(
                f"s3://{weights.bucket}/{weights.key}",
                f"S3 answers {error_code(error)} to a copy",
                "check that no process is writing it, and that it may be read from here",
            ) from error

    def _copy_object(self, key: str, source: dict[str, str], **condition: str) -> None:
        # REPLACE: a retired revision's tag must not be copied.
        self._s3.copy_object(
            Bucket=self._bucket, Key=key, CopySource=source, TaggingDirective="REPLACE", **condition
        )
