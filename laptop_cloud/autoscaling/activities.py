"""Scaling activities: what Application Auto Scaling has done, for DescribeScalingActivities."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from laptop_cloud.api.service import Params
from laptop_cloud.autoscaling.records import TARGET_KEY


class ScalingActivities:
    """The activities of one account."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` returns the time in seconds since the epoch."""
        self._now = now
        self._activities: list[Params] = []

    def begin(self, target: Params, description: str, cause: str) -> Params:
        """Record an activity of a scalable target, in progress; pass it to `end`."""
        activity = {
            "ActivityId": str(uuid.uuid4()),
            **{name: target[name] for name in TARGET_KEY},
            "Description": description,
            "Cause": cause,
            "StartTime": self._now(),
            "StatusCode": "InProgress",
        }
        self._activities.append(activity)
        return activity

    def end(self, activity: Params, message: str, *, failed: bool = False) -> None:
        """Record the end of an activity."""
        status = "Failed" if failed else "Successful"
        activity.update(StatusCode=status, StatusMessage=message, EndTime=self._now())

    def describe(self, params: Params) -> list[Params]:
        """Return the activities of the targets that the parameters select, the newest first."""
        wanted = {name: params[name] for name in TARGET_KEY if name in params}
        return [a for a in reversed(self._activities) if all(a[name] == wanted[name] for name in wanted)]
