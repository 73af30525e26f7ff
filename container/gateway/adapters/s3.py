"""Asynchronous access to the adapter bucket."""

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
#: S3 answers requests for small objects within some tens of milliseconds. These time-outs, at most twice,
#: bound the time to a 503 for a store that does not answer.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=3,
    # `max_attempts` would count the retries only.
    retries={"mode": "standard", "total_max_attempts": 2},
    max_pool_connections=THREADS,
)


_Result = TypeVar("_Result")
#: Registry entries have some hundred bytes; a larger object is not an entry.
MAX_OBJECT_BYTES = 1024 * 1024


class S3Store:
    """`ObjectStore` over one bucket. boto3 blocks, so requests run in a dedicated thread pool."""

    def __init__(self, bucket: str, region: str | None) -> None:
        """Use boto3's default endpoint; AWS_ENDPOINT_URL overrides it."""
        self._bucket = bucket
        self._threads = ThreadPoolExecutor(THREADS, "adapter-store")
        self._client = boto3.client("s3", region_name=region, config=_CONFIG)

    async def read(self, key: str) -> bytes | None:
        """Return an object's content, None if it does not exist; raises `StoreError`."""
        return await self._in_thread(self._read, key)

    async def size(self, key: str) -> int | None:
        """Return an object's size in bytes, None if it does not exist; raises `StoreError`."""
        return await self._in_thread(self._size, key)

    async def list(self, prefix: str) -> Sequence[Listed]:
        """Return all objects under a prefix; raises `StoreError`."""
        return await self._in_thread(self._list, prefix)

    async def write(self, key: str, body: bytes) -> None:
        """Write an object, over an existing one; raises `StoreError`."""
        await self._in_thread(lambda at: self._put(at, body), key)

    async def create(self, key: str, body: bytes) -> bool:
        """Write an object; return False, and change nothing, if it exists; raises `StoreError`."""
        return await self._in_thread(lambda at: self._put(at, body, IfNoneMatch="*"), key)

    async def _in_thread(self, ask: Callable[[str], _Result], key: str) -> _Result:
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
                # At the end of the body botocore checks its length.
                body.read(1)
                return content

    def _size(self, key: str) -> int | None:
        with _store_errors():
            try:
                return int(self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"])
            except ClientError as error:
                _raise_unless_missing(error)
                return None

    def _put(self, key: str, body: bytes, **condition: str) -> bool:
        with _store_errors():
            try:
                self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=body, ContentType="application/json", **condition
                )
            except ClientError as error:
                # 409: another writer creates the object at the same time.
                taken = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT)
                if condition and error.response["ResponseMetadata"]["HTTPStatusCode"] in taken:
                    return False
                raise
        return True

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
        # botocore's errors for an answer that is not S3's have no common class.
        raise StoreError(f"{type(error).__name__}: {error}") from error


def _raise_unless_missing(error: ClientError) -> None:
    # 403 means missing permissions to list or read the bucket, not a missing object.
    response: dict[str, Any] = error.response
    missing = response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND
    if not missing or response["Error"]["Code"] == "NoSuchBucket":
        raise StoreError(str(error)) from error
