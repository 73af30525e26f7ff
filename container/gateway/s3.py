"""The adapter bucket, asked from asynchronous code."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from container.gateway.registry import StoreError

#: S3 answers small objects within some tens of milliseconds; a caller waits for these seconds, twice
#: at most, before it is told that the store does not answer.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=3,
    retries={"mode": "standard", "max_attempts": 2},
    max_pool_connections=16,
)


class S3Store:
    """`ObjectStore` over one bucket. boto3 blocks, so each question takes a thread."""

    def __init__(self, bucket: str, region: str | None) -> None:
        """Where AWS_ENDPOINT_URL is set, boto3 goes there by itself."""
        self._bucket = bucket
        self._client = boto3.client("s3", region_name=region, config=_CONFIG)

    async def read(self, key: str) -> bytes | None:
        """An object's content, None if there is no such object; raises `StoreError`."""
        return await asyncio.to_thread(self._read, key)

    async def exists(self, key: str) -> bool:
        """Whether there is such an object; raises `StoreError`."""
        return await asyncio.to_thread(self._exists, key)

    def _read(self, key: str) -> bytes | None:
        try:
            return bytes(self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except ClientError as error:
            _raise_unless_missing(error)
            return None
        except BotoCoreError as error:
            raise StoreError(str(error)) from error

    def _exists(self, key: str) -> bool:
        try:
            self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            _raise_unless_missing(error)
            return False
        except BotoCoreError as error:
            raise StoreError(str(error)) from error
        return True


def _raise_unless_missing(error: ClientError) -> None:
    # 403 means that the role may not list the bucket, or not read it: no reason to say "unknown".
    response: dict[str, Any] = error.response
    missing = response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND
    if not missing or response["Error"]["Code"] == "NoSuchBucket":
        raise StoreError(str(error)) from error
