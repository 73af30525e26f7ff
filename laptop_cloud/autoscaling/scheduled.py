"""A scheduled action at work: the times at which it is due."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from autoscaling.cron import next_time, parse_cron
from laptop_cloud.api.service import Params, invalid, refuse_others
from laptop_cloud.autoscaling.records import TARGET_KEY

#: Members of a scheduled action; those of a record are the response's, too.
_EMULATED = (
    "ScheduledActionName",
    "ScheduledActionARN",
    "CreationTime",
    "Schedule",
    "Timezone",
    "ScalableTargetAction",
    *TARGET_KEY,
)


def check_schedule(action: Params) -> None:
    """Raise `ServiceError` for a record of a scheduled action that the laptop cloud does not carry out."""
    refuse_others("PutScheduledAction", action, _EMULATED)
    if "ScalableTargetAction" not in action:
        raise invalid("ScalableTargetAction is required to put a scheduled action for the first time")
    if not action.get("Schedule", "").startswith("cron("):
        raise invalid("the laptop cloud carries out scheduled actions whose Schedule is cron(…)")
    try:
        parse_cron(action["Schedule"])
        _zone(action)
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise invalid(f"Schedule or Timezone of {action['ScheduledActionName']}: {error}") from error


class DueAction:
    """One scheduled action between PutScheduledAction and its deletion or next change."""

    def __init__(self, record: Params, now_s: float) -> None:
        """`record` has passed `check_schedule`; the action is due for the first time after `now_s`."""
        self.record = record
        self._cron = parse_cron(record["Schedule"])
        self._next_s = self._after(now_s)

    def is_due(self, now_s: float) -> bool:
        """Return True once for each time of the schedule that has passed; several at once are one."""
        if self._next_s is None or now_s < self._next_s:
            return False
        self._next_s = self._after(now_s)
        return True

    def _after(self, now_s: float) -> float | None:
        found = next_time(self._cron, datetime.fromtimestamp(now_s, UTC), _zone(self.record))
        return None if found is None else found.timestamp()


def _zone(action: Params) -> ZoneInfo:
    return ZoneInfo(action.get("Timezone", "UTC"))
