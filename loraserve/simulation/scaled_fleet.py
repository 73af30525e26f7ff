"""A fleet of instances under a scaling policy: `autoscaling.decide`, its metric's delay, and starts."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from autoscaling.target_tracking import AlarmState, bounded, decide
from loraserve.simulation.scaling_candidate import LimitsChange, ScalingCandidate
from loraserve.simulation.start_times import StartTimes


@dataclass(frozen=True)
class SizeChange:
    """A fleet has this size from a point in time on."""

    at_s: float
    serving: int
    capacity: int
    """Instances that serve or are starting."""


class ScaledFleet:
    """The instances of one simulation.

    The caller moves the time with `advance`, which must not pass `next_s`, and reports the metric's values
    with `observe`. Instances start one by one; until the last of them serves, the endpoint is updating, and
    no other change begins. An instance that is removed serves no request any more.
    """

    def __init__(
        self,
        policy: ScalingCandidate,
        *,
        instances: int,
        starts: StartTimes,
        changes: Sequence[LimitsChange],
        random: np.random.Generator,
    ) -> None:
        """Begin at second 0 with instances that serve.

        Args:
            policy: the policy.
            instances: their number.
            starts: seconds until an added instance serves.
            changes: changes of the limits, in their order.
            random: source of the start times.
        """
        self.serving = instances
        self._tracking = policy.tracking
        self._delay_s = policy.delay_s
        self._starts = starts
        self._random = random
        self._state = AlarmState()
        self._ready: list[float] = []
        self._changes = deque(changes)
        self._values: deque[tuple[float, float | None]] = deque()
        self.sizes = [SizeChange(0.0, instances, instances)]
        self.next_s = changes[0].at_s if changes else math.inf

    @property
    def capacity(self) -> int:
        """Instances that serve or are starting."""
        return self.serving + len(self._ready)

    def observe(self, end_s: float, value: float | None) -> None:
        """Report the metric of the period that ended at `end_s`; the alarms see it after its delay."""
        self._values.append((end_s + self._delay_s, value))
        self.next_s = min(self.next_s, end_s + self._delay_s)

    def advance(self, now_s: float) -> None:
        """Do what is due at `now_s`: instances become ready, limits change, alarms judge."""
        before = (self.serving, self.capacity)
        while self._ready and self._ready[0] <= now_s:
            self._ready.pop(0)
            self.serving += 1
        while self._changes and self._changes[0].at_s <= now_s:
            change = self._changes.popleft()
            self._tracking = replace(
                self._tracking, min_instances=change.min_instances, max_instances=change.max_instances
            )
            if not self._ready:
                self._resize(now_s, bounded(self._tracking, self.capacity))
        while self._values and self._values[0][0] <= now_s:
            _, value = self._values.popleft()
            self._state, wanted = decide(
                self._tracking, self._state, now_s, value, self.capacity, updating=bool(self._ready)
            )
            if wanted != self.capacity:
                self._resize(now_s, wanted)
        if (self.serving, self.capacity) != before:
            self.sizes.append(SizeChange(now_s, self.serving, self.capacity))
        self.next_s = min(
            self._ready[0] if self._ready else math.inf,
            self._changes[0].at_s if self._changes else math.inf,
            self._values[0][0] if self._values else math.inf,
        )

    def _resize(self, now_s: float, wanted: int) -> None:
        if wanted < self.capacity:
            self.serving = wanted
        for _ in range(wanted - self.capacity):
            self._ready.append(now_s + self._starts.draw(self._random))
        self._ready.sort()


def instance_hours(sizes: Sequence[SizeChange], start_s: float, end_s: float) -> float:
    """Return the hours of all instances between two times, from the decision to add one to its removal."""
    ends = [size.at_s for size in sizes[1:]] + [end_s]
    seconds = sum(
        size.capacity * max(0.0, min(end, end_s) - max(size.at_s, start_s))
        for size, end in zip(sizes, ends, strict=True)
    )
    return seconds / 3600
