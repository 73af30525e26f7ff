"""Scalable targets of an account, and the policies and scheduled actions on them."""

from __future__ import annotations

from dataclasses import dataclass, field

from laptop_cloud.api.keyed_records import KeyedRecords
from laptop_cloud.api.service import Params

#: The parameters that identify a scalable target.
TARGET_KEY = ("ServiceNamespace", "ResourceId", "ScalableDimension")


@dataclass(frozen=True)
class ScalingRecords:
    """Scalable targets, and the policies and scheduled actions on them."""

    targets: KeyedRecords = field(default_factory=lambda: KeyedRecords("scalable target", *TARGET_KEY))
    policies: KeyedRecords = field(
        default_factory=lambda: KeyedRecords("scaling policy", "PolicyName", *TARGET_KEY)
    )
    schedules: KeyedRecords = field(
        default_factory=lambda: KeyedRecords("scheduled action", "ScheduledActionName", *TARGET_KEY)
    )


def same_target(record: Params, target: Params) -> bool:
    """Return True if a policy or scheduled action is on this scalable target."""
    return all(record[name] == target[name] for name in TARGET_KEY)


def endpoint_of(target: Params) -> str:
    """Return the endpoint in a target's `endpoint/NAME/variant/NAME`."""
    return str(target["ResourceId"].split("/")[1])


def variant_of(target: Params) -> str:
    """Return the variant in a target's `endpoint/NAME/variant/NAME`."""
    return str(target["ResourceId"].split("/")[3])
