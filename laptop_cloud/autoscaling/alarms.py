"""The two alarms of a target tracking policy, by name."""

from __future__ import annotations

import hashlib
import uuid

from laptop_cloud.api.account import Account
from laptop_cloud.api.service import Params


def alarm_name(policy: Params, side: str) -> str:
    """Return the name of a policy's alarm in the format of Application Auto Scaling; `side`: High or Low."""
    digest = hashlib.sha256(f"{policy['PolicyARN']}:{side}".encode()).digest()
    return f"TargetTracking-{policy['ResourceId']}-Alarm{side}-{uuid.UUID(bytes=digest[:16])}"


def alarms(account: Account, policy: Params) -> list[Params]:
    """Return the `Alarms` of a policy in responses."""
    names = [alarm_name(policy, side) for side in ("High", "Low")]
    return [{"AlarmName": name, "AlarmARN": account.arn("cloudwatch", f"alarm:{name}")} for name in names]
