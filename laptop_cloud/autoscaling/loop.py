"""The loop that carries out scaling policies and scheduled actions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from autoscaling.target_tracking import METRICS, AlarmState
from laptop_cloud.api.service import Params, ServiceError
from laptop_cloud.autoscaling.activities import ScalingActivities
from laptop_cloud.autoscaling.alarms import alarm_name
from laptop_cloud.autoscaling.clock import ScalingClock
from laptop_cloud.autoscaling.load import VariantLoad
from laptop_cloud.autoscaling.records import ScalingRecords, endpoint_of, same_target, variant_of
from laptop_cloud.autoscaling.scheduled import DueAction
from laptop_cloud.autoscaling.tracking import TrackedPolicy, VariantSize
from laptop_cloud.autoscaling.variants import ScaledVariants

#: Seconds between two steps: the shortest period of a metric; the others are multiples of it.
TICK_S: Final = min(timing.period_s for timing in METRICS.values())
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Wish:
    """A capacity that differs from the present one, and the policy's state if it is set."""

    policy: TrackedPolicy
    state: AlarmState
    capacity: int


class ScalingLoop:
    """One step for each period, as long as the account has a scalable target."""

    def __init__(
        self,
        records: ScalingRecords,
        variants: ScaledVariants,
        load: VariantLoad,
        clock: ScalingClock,
        activities: ScalingActivities,
    ) -> None:
        """Set up the loop; `follow` starts it.

        Args:
            records: the targets, policies and scheduled actions; the loop changes the bounds of targets.
            variants: reads and scales the endpoints' variants.
            load: has the values of the policies' metrics.
            clock: the time of periods and schedules.
            activities: gets a record of each change.
        """
        self._records = records
        self._variants = variants
        self._load = load
        self._clock = clock
        self._activities = activities
        self._tracked: list[TrackedPolicy] = []
        self._scheduled: list[DueAction] = []
        self._task: asyncio.Task[None] | None = None
        self._changes: set[asyncio.Task[None]] = set()

    def follow(self) -> None:
        """Begin to carry out new and changed records, end with those that are gone, and run while needed."""
        now = self._clock.now()
        self._tracked = _followed(
            self._tracked, self._records.policies.all(), lambda record: TrackedPolicy(record, self._load)
        )
        self._scheduled = _followed(
            self._scheduled, self._records.schedules.all(), lambda record: DueAction(record, now)
        )
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop the loop; a change that it has begun goes on."""
        running = self._changes | ({self._task} if self._task else set())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def _run(self) -> None:
        while self._records.targets.all():
            tick = (self._clock.now() // TICK_S + 1) * TICK_S
            await self._clock.sleep_until(tick)
            try:
                self._step(tick)
            except Exception:
                # The loop outlives a defect in one step, which the log has.
                _log.exception("a step of Application Auto Scaling failed")

    def _step(self, tick_s: float) -> None:
        for action in self._scheduled:
            if action.is_due(tick_s):
                self._carry_out(action.record)
        for target in self._records.targets.all():
            self._track(target, tick_s)

    def _carry_out(self, action: Params) -> None:
        """Set a target's bounds, and scale its variant into them."""
        target = self._records.targets.get(action)
        if _suspended(target, "ScheduledScaling"):
            return
        target.update(action["ScalableTargetAction"])
        low, high = target["MinCapacity"], target["MaxCapacity"]
        activity = self._activities.begin(
            target,
            f"Setting min capacity to {low} and max capacity to {high}",
            f"scheduled action name {action['ScheduledActionName']} was triggered",
        )
        if self._variants.desired(endpoint_of(target)) is not None:
            self._variants.enforce_bounds(endpoint_of(target), variant_of(target), low, high)
        self._activities.end(activity, f"Successfully set min capacity to {low} and max capacity to {high}")

    def _track(self, target: Params, tick_s: float) -> None:
        """Carry out what a target's policies ask for after the values that have arrived.

        The largest capacity counts, and instances are removed only if every policy that removes any asks for
        it ("Target tracking scaling policies", Application Auto Scaling's user guide).
        """
        policies = [policy for policy in self._tracked if same_target(policy.record, target)]
        wishes = [wish for policy in policies for wish in self._wishes(policy, target, tick_s)]
        if not wishes:
            return
        wish = max(wishes, key=lambda each: each.capacity)
        less = wish.policy.wants_less
        if less and not all(policy.wants_less for policy in policies if policy.scales_in):
            return
        if _suspended(target, "DynamicScalingIn" if less else "DynamicScalingOut"):
            return
        if self._change(target, wish.policy.record, wish.capacity, "Low" if less else "High"):
            wish.policy.accept(wish.state)

    def _wishes(self, policy: TrackedPolicy, target: Params, tick_s: float) -> Iterator[_Wish]:
        endpoint = endpoint_of(target)
        policy.observe(tick_s, self._variants.serving(endpoint))
        for value in policy.arrived(tick_s):
            desired = self._variants.desired(endpoint)
            if desired is None:
                continue
            size = VariantSize(
                desired=desired,
                low=target["MinCapacity"],
                high=target["MaxCapacity"],
                updating=self._variants.updating(endpoint),
            )
            state, capacity = policy.judged(tick_s, value, size)
            if capacity == desired:
                policy.accept(state)
            else:
                yield _Wish(policy, state, capacity)

    def _change(self, target: Params, policy: Params, wanted: int, side: str) -> bool:
        """Begin to change the capacity; return False if SageMaker refuses it."""
        alarm = f"monitor alarm {alarm_name(policy, side)} in state ALARM"
        activity = self._activities.begin(
            target,
            f"Setting desired instance count to {wanted}.",
            f"{alarm} triggered policy {policy['PolicyName']}",
        )
        try:
            change = self._variants.scale(endpoint_of(target), wanted)
        except ServiceError as error:
            self._activities.end(activity, _failure(wanted, error.message), failed=True)
            return False
        task = asyncio.create_task(self._completed(activity, change, wanted))
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return True

    async def _completed(self, activity: Params, change: Awaitable[str | None], wanted: int) -> None:
        failure = await change
        if failure is not None:
            self._activities.end(activity, _failure(wanted, failure), failed=True)
            return
        self._activities.end(
            activity,
            f"Successfully set desired instance count to {wanted}. Change successfully fulfilled by "
            "sagemaker.",
        )


class _FollowsRecord(Protocol):
    record: Params


F = TypeVar("F", bound=_FollowsRecord)


def _followed(kept: Iterable[F], records: Iterable[Params], make: Callable[[Params], F]) -> list[F]:
    """Return what follows each record: the same as before if the record is, a new one otherwise."""
    by_record = {id(each.record): each for each in kept}
    return [by_record.get(id(record)) or make(record) for record in records]


def _suspended(target: Params, what: str) -> bool:
    return bool(target.get("SuspendedState", {}).get(f"{what}Suspended", False))


def _failure(wanted: int, reason: str) -> str:
    return f"Failed to set desired instance count to {wanted}. Reason: {reason}"
