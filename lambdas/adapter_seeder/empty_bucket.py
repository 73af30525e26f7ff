"""Emptying the bucket of a stage that does not retain its data, before CloudFormation deletes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapters.store.transfer import OutOfTime


def empty_bucket(s3: Any, bucket: str, *, has_time: Callable[[], bool]) -> int:
    """Delete every version of every object; return the number. Raises `OutOfTime` between two pages."""
    deleted = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        if not has_time():
            raise OutOfTime
        objects = [
            {"Key": item["Key"], "VersionId": item["VersionId"]}
            for item in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
        ]
        if objects:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            if answer.get("Errors"):
                first = answer["Errors"][0]
                raise RuntimeError(f"s3://{bucket}/{first['Key']} cannot be deleted: {first['Message']}")
            deleted += len(objects)
    return deleted
