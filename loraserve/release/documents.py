"""JSON documents in S3, each replaced as a whole and by conditional requests.

S3 evaluates the condition of a write against the current version (S3 User Guide, "Conditional writes"):
with `If-None-Match: *` the key must have none, with `If-Match` its ETag must be the given one. A condition
that does not hold is answered with 412, or 404 if the key has no current version, and two writes at the same
time with 409, after which the caller may try again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from adapters.store.s3 import S3Client, is_absent, is_conflict

#: Tries of a write that S3 answers with a conflict although the document is unchanged.
_TRIES, _SECONDS_BETWEEN = 5, 0.3


@dataclass(frozen=True)
class StoredDocument:
    """A document, or its absence, as S3 answered."""

    body: bytes | None
    """None if the key has no current version."""
    etag: str
    """Condition of the next write; empty without a `body`."""
    modified: datetime
    """Time of the last write; without a `body` that of the answer."""
    answered: datetime
    """Time of the answer. Both are by S3's clock, so they can be compared on any machine."""


#: The document that a first write replaces.
ABSENT = StoredDocument(None, "", datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC))


class Documents:
    """The documents of one bucket."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        """`s3` is boto3's client."""
        self.s3 = s3
        self.bucket = bucket

    def get(self, key: str) -> StoredDocument:
        """Read a document; the result says if there is none."""
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=key)
        except self.s3.exceptions.ClientError as error:
            if not is_absent(error):
                raise
            answered = _time(error.response)
            return StoredDocument(None, "", answered, answered)
        return StoredDocument(answer["Body"].read(), answer["ETag"], answer["LastModified"], _time(answer))

    def put(self, key: str, body: bytes, replaces: StoredDocument) -> StoredDocument:
        """Write a document if it is still the one that it `replaces`, and return what is stored then.

        That has another `body` if another writer was faster. Idempotent: a write that was done, and whose
        answer was lost, is done.
        """
        condition = {"IfNoneMatch": "*"} if replaces.body is None else {"IfMatch": replaces.etag}
        for _ in range(_TRIES):
            try:
                answer = self.s3.put_object(
                    Bucket=self.bucket, Key=key, Body=body, ContentType="application/json", **condition
                )
            except self.s3.exceptions.ClientError as error:
                if not (is_conflict(error) or is_absent(error)):
                    raise
                now = self.get(key)
                if now.etag != replaces.etag:
                    break
                time.sleep(_SECONDS_BETWEEN)
            else:
                answered = _time(answer)
                return StoredDocument(body, answer["ETag"], answered, answered)
        return now

    def delete(self, key: str, seen: StoredDocument) -> StoredDocument:
        """Delete a document if it is still the one that was `seen`, and return what is stored then."""
        try:
            answer = self.s3.delete_object(Bucket=self.bucket, Key=key, IfMatch=seen.etag)
        except self.s3.exceptions.ClientError as error:
            if not (is_conflict(error) or is_absent(error)):
                raise
            return self.get(key)
        answered = _time(answer)
        return StoredDocument(None, "", answered, answered)

    def keys(self, prefix: str) -> list[str]:
        """List the keys under a prefix, sorted."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))


def _time(answer: Mapping[str, Any]) -> datetime:
    """Return the time of an answer: each has the header `Date` (S3 API Reference, common headers)."""
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).astimezone(UTC)
