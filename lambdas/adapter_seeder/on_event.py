"""The first handler of the seeding custom resource: names the resource and starts CloudFormation's waiter."""

from __future__ import annotations

import time
from typing import Any

from lambdas.adapter_seeder.properties import Properties


def handle(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Return the resource's physical id, which follows from the bucket; raises `MissingProperty`.

    On Delete only the bucket is read: CloudFormation sends the properties of the version of this stack that
    is installed, which may be an older one. CDK's provider adds what is returned here to the event of the
    second handler.
    """
    properties = event["ResourceProperties"]
    if event["RequestType"] != "Delete":
        Properties.read(properties)
    return {"PhysicalResourceId": f"adapter-seeding-{properties['Bucket']}", "StartedAt": time.time()}
