"""The two handlers of the seeding custom resource (`custom_resources.Provider`).

`on_event` answers at once; the work is done in `is_complete`, which CloudFormation's waiter calls
until it says so, and which goes on from what is already in the bucket.
"""

from __future__ import annotations

from typing import Any

import boto3

from adapters.publishing import AdapterBucket
from lambdas.adapter_seeder.desired import DesiredState
from lambdas.adapter_seeder.seeding import OutOfTime, seed

#: Work stops this long before Lambda's own limit, so that the answer still gets out.
MARGIN_MILLISECONDS = 60_000


def on_event(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Name the resource; deleting it deletes nothing: what happens to the bucket, the bucket says."""
    return {"PhysicalResourceId": f"adapter-seeding-{event['ResourceProperties']['Bucket']}"}


def is_complete(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Do the work of a Create or an Update; raises with every bad adapter's reason and remedy."""
    if event["RequestType"] == "Delete":
        return {"IsComplete": True}
    properties = event["ResourceProperties"]
    s3 = boto3.client("s3")
    with DesiredState.download(s3, properties["ManifestBucket"], properties["ManifestKey"]) as desired:
        try:
            report = seed(
                AdapterBucket(s3, properties["Bucket"]),
                s3,
                desired,
                engine=properties["Engine"],
                max_rank=int(properties["MaxAdapterRank"]),
                base_model=properties["BaseModel"],
                owner=properties["Owner"],
                has_time=lambda: context.get_remaining_time_in_millis() > MARGIN_MILLISECONDS,
            )
        except OutOfTime:
            return {"IsComplete": False}
    print(report.to_json())
    return {
        "IsComplete": True,
        "Data": {"Adapters": str(report.adapters), "BytesMoved": str(report.bytes_moved)},
    }
