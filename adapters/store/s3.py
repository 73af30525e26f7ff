"""What this package asks of S3, through boto3's client."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

#: boto3 builds its clients at run time, so there is no type to name. Handed in by the caller: this package
#: has no dependencies.
S3Client = Any

_ABSENT = {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}
#: Another process has uploaded a part anew; under SSE-KMS the same bytes get another ETag.
_STALE_PART = {"InvalidPart", "InvalidPartOrder"}
#: A condition was not met, or S3 could not decide because another write was under way.
_CONFLICT = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


def error_code(error: Exception) -> str:
    """The S3 error code of a botocore ClientError, e.g. `NoSuchKey`; empty for other errors."""
    response = getattr(error, "response", None)
    return str(response["Error"]["Code"]) if isinstance(response, dict) else ""


def is_absent(error: Exception) -> bool:
    """Whether S3 said that the object or upload is not there."""
    return error_code(error) in _ABSENT


def is_conflict(error: Exception) -> bool:
    """Whether a conditional request was refused."""
    return error_code(error) in _CONFLICT


def is_outage(error: Exception) -> bool:
    """Whether S3 is at fault, or busy, so that the same request may succeed later."""
    response = getattr(error, "response", None)
    status = response["ResponseMetadata"]["HTTPStatusCode"] if isinstance(response, dict) else 0
    return bool(status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS)


def is_stale_part(error: Exception) -> bool:
    """Whether the parts of an upload are no longer those that the caller knows."""
    return error_code(error) in _STALE_PART


def checksum(sha256: str) -> str:
    """A SHA-256 as S3 writes it: base64 instead of hexadecimal."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def listing(s3: S3Client, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """Every object under a prefix: Key, Size, ETag, LastModified."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])
