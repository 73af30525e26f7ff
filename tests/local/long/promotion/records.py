"""The records in a stage's bucket."""

from __future__ import annotations

from loraserve.release.record import DeploymentRecord
from tests.harness.promotion import Promotion


def current(made: Promotion, stage: str) -> DeploymentRecord:
    """Return the record of what a stage serves."""
    return _record(made, stage, "releases/current.json")


def records(made: Promotion, stage: str) -> list[DeploymentRecord]:
    """Return all records of a stage, the oldest first."""
    bucket = made.outputs(stage)["AdapterBucket"]
    s3 = made.client(stage, "s3")
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="releases/records/").get("Contents", [])
    return [_record(made, stage, each["Key"]) for each in listed]


def _record(made: Promotion, stage: str, key: str) -> DeploymentRecord:
    bucket = made.outputs(stage)["AdapterBucket"]
    content = made.client(stage, "s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return DeploymentRecord.model_validate_json(content)
