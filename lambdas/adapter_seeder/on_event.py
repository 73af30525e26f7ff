"""The first handler of the seeding custom resource, which starts CloudFormation's waiter."""

from __future__ import annotations

import time
from typing import Any

from lambdas.adapter_seeder.properties import Properties


def handle(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Name the resource: another bucket is another resource. A property that is missing fails it here.

    A deletion may bring the properties of an older version of this stack, so only the bucket is read then.
    CDK's provider hands what is returned here on to the second handler.
    """
    properties = event["ResourceProperties"]
    if event["RequestType"] != "Delete":
        Properties.read(properties)
    return {"PhysicalResourceId": f"adapter-seeding-{properties['Bucket']}", "StartedAt": time.time()}
