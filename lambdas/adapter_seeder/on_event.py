"""The first handler of the seeding custom resource, which starts CloudFormation's waiter."""

from __future__ import annotations

from typing import Any

from lambdas.adapter_seeder.properties import Properties


def handle(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Name the resource: another bucket is another resource. A property that is missing fails it here."""
    properties = Properties.read(event["ResourceProperties"])
    return {"PhysicalResourceId": f"adapter-seeding-{properties.bucket}"}
