"""The adapter bucket, asked from asynchronous code."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from container.gateway.adapters.registry import Listed, StoreError

THREADS = 16
#: S3 answers small objects within some tens of milliseconds; a caller waits for these seconds, twice
#: at most, before it is told that the store does not answer.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=3,
    # Not `max_attempts`, which counts the retries only.
    retries={"mode": "standard", "total_max_attempts": 2},
    max_pool_connections=THREADS,
)


_Answer = TypeVar("_Answer")
#: Registry entries have some hundred bytes; what is larger is none.
MAX_OBJECT_BYTES = 1024 * 1024


class S3Store:
    """`ObjectStore` over one bucket. boto3 blocks, so each question takes a thread, one of its own."""

    def __init__(self, bucket: str, region: str | None) -> None:
        """Where AWS_ENDPOINT_URL is set, boto3 goes there by itself."""
        self._bucket = bucket
        self._threads = ThreadPoolExecutor(THREADS, "adapter-store")
        self._client = boto3.client("s3", region_name=region, config=_CONFIG)

    async def read(self, key: str) -> bytes | None:
        """An object's content, None if there is no such object; raises `StoreError`."""
        return await self._in_thread(self._read, key)

    async def size(self, key: str) -> int | None:
        """An object's bytes, None if there is no such object; raises `StoreError`."""
        return await self._in_thread(self._size, key)

    async def list(self, prefix: str) -> Sequence[Listed]:
        """All objects below a prefix; raises `StoreError`."""
        return await self._in_thread(self._list, prefix)

    async def _in_thread(self, ask: Callable[[str], _Answer], key: str) -> _Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask, key)

    def _read(self, key: str) -> bytes | None:
        with _store_errors():
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                _raise_unless_missing(error)
                return None
            if "ETag" not in answer:
                raise StoreError("an answer that is not S3's")
            with contextlib.closing(answer["Body"]) as body:
                content = bytes(body.read(MAX_OBJECT_BYTES))
                # At the end botocore looks whether all has come.
                body.read(1)
                return content

    def _size(self, key: str) -> int | None:
        with _store_errors():
            try:
                return int(self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"])
            except ClientError as error:
                _raise_unless_missing(error)
                return None

    def _list(self, prefix: str) -> Sequence[Listed]:
        with _store_errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return [
                Listed(found["Key"], int(found["LastModified"].timestamp()))
                for page in pages
                for found in page.get("Contents", ())
            ]


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        # botocore has no common class for what it makes of an answer that is not S3's.
        raise StoreError(f"{type(error).__name__}: {error}") from error


def _raise_unless_missing(error: ClientError) -> None:
    # 403 means that the role may not list the bucket, or not read it: no reason to say "unknown".
    response: dict[str, Any] = error.response
    missing = response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND
    if not missing or response["Error"]["Code"] == "NoSuchBucket":
        raise StoreError(str(error)) from error
