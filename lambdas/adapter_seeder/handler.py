"""The two handlers of the seeding custom resource (`custom_resources.Provider`).

`on_event` answers at once; the work is done in `is_complete`, which CloudFormation's waiter calls
until it says so, and which goes on from what is already in the bucket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3

from adapters.publishing import AdapterBucket
from lambdas.adapter_seeder.desired import DesiredState
from lambdas.adapter_seeder.emptying import empty
from lambdas.adapter_seeder.seeding import OutOfTime, seed

#: Work stops this long before Lambda's own limit, so that the answer still gets out.
MARGIN_MILLISECONDS = 60_000


def on_event(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Name the resource: another bucket is another resource."""
    return {"PhysicalResourceId": f"adapter-seeding-{event['ResourceProperties']['Bucket']}"}


def is_complete(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Do the work of the event; a failure's message has every bad adapter's reason and remedy."""

    def has_time() -> bool:
        return bool(context.get_remaining_time_in_millis() > MARGIN_MILLISECONDS)

    try:
        if event["RequestType"] == "Delete":
            return _delete(event["ResourceProperties"], has_time)
        return _seed(event["ResourceProperties"], has_time)
    except OutOfTime:
        return {"IsComplete": False}


def _seed(properties: dict[str, str], has_time: Callable[[], bool]) -> dict[str, Any]:
    s3 = boto3.client("s3")
    with DesiredState.download(s3, properties["ManifestBucket"], properties["ManifestKey"]) as desired:
        report = seed(
            AdapterBucket(s3, properties["Bucket"]),
            s3,
            desired,
            engine=properties["Engine"],
            max_rank=int(properties["MaxAdapterRank"]),
            base_model=properties["BaseModel"],
            owner=properties["Owner"],
            has_time=has_time,
        )
    print(report.to_json())
    return {
        "IsComplete": True,
        "Data": {"Adapters": str(report.adapters), "BytesMoved": str(report.bytes_moved)},
    }


def _delete(properties: dict[str, str], has_time: Callable[[], bool]) -> dict[str, Any]:
    """Nothing is unpublished: the bucket goes with all it holds, or stays as it is."""
    if properties["RetainData"] == "false":
        empty(boto3.client("s3"), properties["Bucket"], has_time=has_time)
    return {"IsComplete": True}
