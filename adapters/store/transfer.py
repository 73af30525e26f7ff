"""Uploading files to immutable keys of S3, in parts.

The parts follow from the file alone, so an upload resumes where an earlier one stopped: in the next
invocation, or in another process. A file is in memory part by part, and never on disk.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol

from adapters.errors import AdapterError
from adapters.files import ReadableFile, sha256_of_chunks
from adapters.store.ordered_digest import OrderedDigest, results_of
from adapters.store.s3 import S3Client, checksum, chunks_of, is_absent, is_conflict, is_stale_part

#: S3 allows 10,000 parts of at least 5 MiB: this suffices for files of 320 GB. Most adapters have one part,
#: which is one request instead of three.
PART_BYTES = 32 * 1024 * 1024
#: Bytes in memory at once, over all files: four whole parts, or more of small files.
MEMORY_BYTES = 4 * PART_BYTES
PARALLEL_PARTS = MEMORY_BYTES // PART_BYTES
#: Attempts at an upload that another process ends.
_ATTEMPTS = 3


class OutOfTime(Exception):
    """The caller's time is over; the same call resumes from the parts that are uploaded."""


class ContentMismatch(Exception):
    """A file's content that does not have the expected SHA-256; nothing of it stays in the bucket."""

    def __init__(self, key: str, found: str, expected: str) -> None:
        """Both digests in hexadecimal."""
        super().__init__(f"{key} hashes to {found}, expected {expected}")
        self.found = found
        self.expected = expected


class _DamagedUpload(Exception):
    """An upload that resumed from parts of an earlier process has the wrong content."""


class TransferableFile(ReadableFile, Protocol):
    """A file to upload."""

    sequential: bool
    """True if it must be read from start to end, because seeking back means reading it again."""


class Transfers:
    """Uploads to one bucket; a context manager, because it has threads."""

    def __init__(
        self,
        s3: S3Client,
        bucket: str,
        *,
        has_time: Callable[[], bool] = lambda: True,
        moved: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`has_time` is called before each part; once it returns false, `OutOfTime` is raised.

        `moved` is called with the bytes of each part that reached S3.
        """
        self._s3 = s3
        self._bucket = bucket
        self._has_time = has_time
        self._moved = moved
        self._pool = ThreadPoolExecutor(PARALLEL_PARTS, "part")
        self._memory = _Budget(MEMORY_BYTES)
        self._lock = threading.Lock()
        self._unfinished: dict[str, str] | None = None
        """Upload id by key; None until S3 has been asked."""

    def __enter__(self) -> Transfers:
        """Return itself: threads start with the first part."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for the parts that are being uploaded."""
        self._pool.shutdown(cancel_futures=True)

    def put(self, key: str, file: TransferableFile, sha256: str) -> None:
        """Upload a file to a key that has no object yet, and verify its SHA-256 (hex).

        If another process has uploaded the key in the meantime, its content is verified instead. Raises
        `ContentMismatch`, `OutOfTime`, `AdapterError`, and what `file.read` raises.
        """
        if file.size <= PART_BYTES:
            self._put_whole(key, file, sha256)
            return
        for _ in range(_ATTEMPTS):
            try:
                self._put_parts(key, file, sha256)
                return
            except self._s3.exceptions.ClientError as error:
                if not (is_absent(error) or is_conflict(error) or is_stale_part(error)):
                    raise
                # Another process has completed, aborted or changed this upload, or has uploaded the key.
                with self._lock:
                    self._unfinished = None
            except _DamagedUpload:
                # Parts of an earlier process were wrong, and are deleted: start again.
                continue
            if self._is_there(key):
                self.verify(key, sha256)
                return
        raise AdapterError(
            f"s3://{self._bucket}/{key}",
            "another process has ended or damaged the upload each time",
            "check which other processes write to this bucket, and try again",
        )

    def verify(self, key: str, sha256: str) -> None:
        """Read an object back and check its SHA-256 (hex); if wrong, delete it, raise `ContentMismatch`."""
        found = sha256_of_chunks(chunks_of(self._s3, self._bucket, key), lambda _: self._check_time())
        if found != sha256:
            self._s3.delete_object(Bucket=self._bucket, Key=key)
            raise ContentMismatch(key, found, sha256)

    def _check_time(self) -> None:
        if not self._has_time():
            raise OutOfTime

    def _put_whole(self, key: str, file: TransferableFile, sha256: str) -> None:
        with self._memory.taken(file.size):
            self._check_time()
            data = file.read(0, file.size)
            found = hashlib.sha256(data).hexdigest()
            if found != sha256:
                raise ContentMismatch(key, found, sha256)
            try:
                self._s3.put_object(
                    Bucket=self._bucket, Key=key, Body=data, ChecksumSHA256=checksum(sha256), IfNoneMatch="*"
                )
            except self._s3.exceptions.ClientError as error:
                if not is_conflict(error):
                    raise
                self.verify(key, sha256)
            else:
                self._moved(len(data))

    def _put_parts(self, key: str, file: TransferableFile, sha256: str) -> None:
        target = {"Bucket": self._bucket, "Key": key, "UploadId": self._upload_id(key)}
        done = self._parts_done(target, file.size)
        numbers = [number for number in range(1, _part_count(file.size) + 1) if number not in done]
        # An earlier process hashed the parts that it uploaded; then the whole is read back at the end.
        whole = OrderedDigest(numbers)
        try:
            done |= results_of(self._begin_parts(target, file, numbers, whole), whole)
        except BaseException:
            # Also after Ctrl-C: no part may wait for an earlier one that will not be read.
            whole.fail()
            raise
        if len(numbers) == len(done) and whole.sha256() != sha256:
            self._s3.abort_multipart_upload(**target)
            self._forget(key)
            raise ContentMismatch(key, whole.sha256(), sha256)
        parts = {"Parts": [done[number] for number in sorted(done)]}
        try:
            self._s3.complete_multipart_upload(**target, MultipartUpload=parts, IfNoneMatch="*")
        except self._s3.exceptions.ClientError as error:
            if is_conflict(error):
                self._s3.abort_multipart_upload(**target)
            raise
        self._forget(key)
        if len(numbers) != len(done):
            try:
                self.verify(key, sha256)
            except ContentMismatch as mismatch:
                raise _DamagedUpload from mismatch

    def _begin_parts(
        self, target: dict[str, str], file: TransferableFile, numbers: list[int], whole: OrderedDigest
    ) -> dict[int, Future[dict[str, Any]]]:
        """Start the upload of each part as memory allows, until one fails."""
        futures: dict[int, Future[dict[str, Any]]] = {}
        for number in numbers:
            # Taken here, in order: the part that all others wait for has its memory.
            self._memory.take(PART_BYTES)
            future = self._pool.submit(self._put_part, target, file, number, whole)
            future.add_done_callback(lambda _: self._memory.give(PART_BYTES))
            futures[number] = future
            if any(begun.done() and begun.exception() for begun in futures.values()):
                break
        return futures

    def _put_part(
        self, target: dict[str, str], file: TransferableFile, number: int, whole: OrderedDigest
    ) -> dict[str, Any]:
        self._check_time()
        if file.sequential and not whole.wait_for(number):
            raise OutOfTime
        data = file.read((number - 1) * PART_BYTES, PART_BYTES)
        # A part that has been read is uploaded even if one before it failed: the next attempt skips it.
        whole.add(number, data)
        part = {"PartNumber": number, "ChecksumSHA256": checksum(hashlib.sha256(data).hexdigest())}
        answer = self._s3.upload_part(**target, **part, Body=data)
        self._moved(len(data))
        return {**part, "ETag": answer["ETag"]}

    def _upload_id(self, key: str) -> str:
        with self._lock:
            if self._unfinished is None:
                self._unfinished = self._list_unfinished()
            if key in self._unfinished:
                return self._unfinished[key]
        created = self._s3.create_multipart_upload(Bucket=self._bucket, Key=key, ChecksumAlgorithm="SHA256")
        return str(created["UploadId"])

    def _forget(self, key: str) -> None:
        with self._lock:
            if self._unfinished is not None:
                self._unfinished.pop(key, None)

    def _list_unfinished(self) -> dict[str, str]:
        pages = self._s3.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket)
        return {upload["Key"]: upload["UploadId"] for page in pages for upload in page.get("Uploads", [])}

    def _parts_done(self, target: dict[str, str], size: int) -> dict[int, dict[str, Any]]:
        """Return the parts that S3 has, in the form that CompleteMultipartUpload requires."""
        pages = self._s3.get_paginator("list_parts").paginate(**target)
        return {
            part["PartNumber"]: {name: part[name] for name in ("PartNumber", "ETag", "ChecksumSHA256")}
            for page in pages
            for part in page.get("Parts", [])
            if part["Size"] == min(PART_BYTES, size - (part["PartNumber"] - 1) * PART_BYTES)
            # This module uploads no part without a checksum.
            and "ChecksumSHA256" in part
        }

    def _is_there(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self._bucket, Key=key)
        except self._s3.exceptions.ClientError as error:
            if is_absent(error):
                return False
            raise
        return True


class _Budget:
    """A semaphore over an amount: callers take a share, and block while too little is left."""

    def __init__(self, amount: int) -> None:
        self._left = amount
        self._changed = threading.Condition()

    def take(self, share: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._left >= share)
            self._left -= share

    def give(self, share: int) -> None:
        with self._changed:
            self._left += share
            self._changed.notify_all()

    @contextmanager
    def taken(self, share: int) -> Iterator[None]:
        self.take(share)
        try:
            yield
        finally:
            self.give(share)


def _part_count(size: int) -> int:
    return -(-size // PART_BYTES)
