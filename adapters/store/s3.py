"""Error codes of AWS, and checksums, listings and reads of S3, through boto3's client."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

#: boto3 builds its clients at run time, so there is no type to name. The caller passes the client in: this
#: package has no dependencies.
S3Client = Any

_CHUNK_BYTES = 1024 * 1024
_ABSENT = {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}
#: Another process has uploaded a part again; under SSE-KMS the same bytes get another ETag.
_STALE_PART = {"InvalidPart", "InvalidPartOrder"}
#: A condition was not met, or another write to the key was in progress.
_CONFLICT = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
#: Answers of 4XX to a request that may succeed later. The Query API, CloudFormation's, throttles with 400
#: (CloudFormation API Reference, Common error types); credentials and signatures are made again.
_LATER = {"Throttling", "ThrottlingException", "ExpiredToken", "ExpiredTokenException", "RequestExpired"}
#: Codes of a denied request: of S3, of S3 without a body (HEAD), of Secrets Manager and KMS.
DENIED = frozenset({"AccessDenied", "403", "AccessDeniedException"})


def error_code(error: Exception) -> str:
    """Return the code of a botocore ClientError, e.g. `NoSuchKey`; empty for other errors."""
    response = getattr(error, "response", None)
    return str(response["Error"]["Code"]) if isinstance(response, dict) else ""


def is_absent(error: Exception) -> bool:
    """Return whether S3 has no such object or upload."""
    return error_code(error) in _ABSENT


def is_conflict(error: Exception) -> bool:
    """Return whether a conditional request was refused."""
    return error_code(error) in _CONFLICT


def is_outage(error: Exception) -> bool:
    """Return whether AWS failed or is busy, or a signature has expired: a request may succeed later."""
    if error_code(error) in _LATER:
        return True
    response = getattr(error, "response", None)
    status = response["ResponseMetadata"]["HTTPStatusCode"] if isinstance(response, dict) else 0
    return bool(status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS)


def is_denied(error: Exception) -> bool:
    """Return whether a request was denied; S3 also denies a missing object without `s3:ListBucket`."""
    return error_code(error) in DENIED


def is_stale_part(error: Exception) -> bool:
    """Return whether the parts of an upload are no longer those that the caller listed."""
    return error_code(error) in _STALE_PART


def checksum(sha256: str) -> str:
    """Return a SHA-256 (hex) as S3 writes it, in base64."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def chunks_of(s3: S3Client, bucket: str, key: str) -> Iterator[bytes]:
    """Yield the content of an object in chunks of 1 MiB, in one request."""
    yield from s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(_CHUNK_BYTES)


def listing(s3: S3Client, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """Yield every object under a prefix: Key, Size, ETag, LastModified."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])
