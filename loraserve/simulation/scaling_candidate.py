"""A scaling policy to simulate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from autoscaling.cron import next_time, parse_cron
from autoscaling.target_tracking import METRICS, TargetTrackingPolicy, tracking_policy
from stacks.config.sections.autoscaling import Schedule


@dataclass(frozen=True, kw_only=True)
class ScalingCandidate:
    """A policy on one metric, its limits and their changes by time."""

    name: str
    metric: str
    """Key of `autoscaling.target_tracking.METRICS`."""
    tracking: TargetTrackingPolicy
    schedules: tuple[Schedule, ...] = ()

    @property
    def delay_s(self) -> float:
        """Seconds from the end of a period until the alarms see its value."""
        return METRICS[self.metric].delay_s

    def with_high_periods(self, periods: int) -> ScalingCandidate:
        """Return the candidate with another number of periods above the target."""
        return replace(self, tracking=replace(self.tracking, high_periods=periods))


@dataclass(frozen=True)
class LimitsChange:
    """New limits from a point in time on."""

    at_s: float
    """Seconds after the start of the simulation."""
    min_instances: int
    max_instances: int


def scaling_candidate(
    name: str,
    metric: str,
    *,
    target: float,
    limits: tuple[int, int],
    cooldowns_s: tuple[float, float],
    schedules: Sequence[Schedule] = (),
) -> ScalingCandidate:
    """Return a candidate.

    Args:
        name: its name in reports.
        metric: key of `METRICS`.
        target: value of the metric per instance.
        limits: fewest and most instances.
        cooldowns_s: after a scale-out, after a scale-in.
        schedules: the limits' changes.
    """
    tracking = tracking_policy(
        metric,
        target=target,
        min_instances=limits[0],
        max_instances=limits[1],
        out_cooldown_s=cooldowns_s[0],
        in_cooldown_s=cooldowns_s[1],
    )
    return ScalingCandidate(name=name, metric=metric, tracking=tracking, schedules=tuple(schedules))


def limits_changes(
    schedules: Sequence[Schedule], begin: datetime, duration_s: float
) -> tuple[LimitsChange, ...]:
    """Return the changes of limits of a simulation that begins at `begin` (UTC), in their order."""
    changes = []
    end = begin + timedelta(seconds=duration_s)
    for schedule in schedules:
        cron, zone = parse_cron(schedule.cron), ZoneInfo(schedule.timezone)
        due = next_time(cron, begin - timedelta(seconds=1), zone)
        while due is not None and due < end:
            at_s = (due - begin.astimezone(UTC)).total_seconds()
            changes.append(LimitsChange(at_s, schedule.min_instances, schedule.max_instances))
            due = next_time(cron, due, zone)
    return tuple(sorted(changes, key=lambda change: change.at_s))
