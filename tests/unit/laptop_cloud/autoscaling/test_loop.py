"""The loop that carries out policies and scheduled actions, on a clock that jumps from step to step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from laptop_cloud.api.account import Account
from laptop_cloud.api.service import invalid
from laptop_cloud.autoscaling.clock import ScalingClock
from laptop_cloud.autoscaling.control_plane import AutoScaling
from laptop_cloud.autoscaling.load import VariantLoad

ACCOUNT = Account("000000000000", "us-east-1")
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    "ResourceId": "endpoint/e/variant/v",
}
CONCURRENT = "SageMakerVariantConcurrentRequestsPerModelHighResolution"
INVOCATIONS = "SageMakerVariantInvocationsPerInstance"
#: A Monday, 6:00.
START_S = 1_767_592_800.0


class StoryClock(ScalingClock):
    """It jumps to the next step, and stops at an end."""

    def __init__(self, end_s: float) -> None:
        super().__init__()
        self.time_s = START_S
        self.ended = asyncio.Event()
        self.before: Callable[[float], object] = lambda _: None
        self._end_s = START_S + end_s

    def now(self) -> float:
        return self.time_s

    async def sleep_until(self, at: float) -> None:
        if at > self._end_s:
            self.ended.set()
            await asyncio.Event().wait()
        self.before(at)
        self.time_s = at
        await asyncio.sleep(0)


class Variants:
    """One endpoint, whose instances start at once."""

    def __init__(self, clock: StoryClock, count: int = 1) -> None:
        self.count = count
        self.refused = False
        self.changes: list[tuple[float, int]] = []
        self._clock = clock

    def check(self, endpoint: str, variant: str) -> None:
        pass

    def enforce_bounds(self, endpoint: str, variant: str, low: int, high: int) -> None:
        if not low <= self.count <= high:
            self._set(min(max(self.count, low), high))

    def desired(self, endpoint: str) -> int | None:
        return self.count

    def serving(self, endpoint: str) -> int:
        return self.count

    def updating(self, endpoint: str) -> bool:
        return False

    def scale(self, endpoint: str, count: int) -> Awaitable[str | None]:
        if self.refused:
            raise invalid("Cannot update in-progress endpoint")
        self._set(count)
        return _done()

    def _set(self, count: int) -> None:
        self.count = count
        self.changes.append((self._clock.time_s - START_S, count))


async def _done() -> str | None:
    return None


class Story:
    """A target from 1 to 10 instances, and requests in flight by time."""

    def __init__(self, end_s: float, count: int = 1) -> None:
        self.clock = StoryClock(end_s)
        self.variants = Variants(self.clock, count)
        self.load = VariantLoad(self.clock.now)
        self.service = AutoScaling(ACCOUNT, self.variants, self.load, self.clock)
        self.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10)

    def call(self, operation: str, **params: Any) -> Any:
        return self.service.call(operation, {**TARGET, **params})

    def policy(self, target: float, metric: str = CONCURRENT, **options: Any) -> None:
        self.call(
            "PutScalingPolicy",
            PolicyName=f"{metric}-{target}",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": target,
                "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
                **options,
            },
        )

    async def run(self, steps: Sequence[tuple[float, int]] = ()) -> list[tuple[float, int]]:
        """Have so many requests in flight from each time on; return the changes of the fleet."""
        pending, held = list(steps), []

        def follow(at: float) -> None:
            while pending and START_S + pending[0][0] < at:
                begin_s, count = pending.pop(0)
                self.clock.time_s = START_S + begin_s
                while len(held) > count:
                    held.pop().__exit__(None, None, None)
                while len(held) < count:
                    held.append(self.load.request("e", self.variants.count))
                    held[-1].__enter__()

        self.clock.before = follow
        await self.clock.ended.wait()
        await self.service.shut_down()
        return self.variants.changes

    @property
    def activities(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.service.call(
            "DescribeScalingActivities", {"ServiceNamespace": "sagemaker"}
        )["ScalingActivities"]
        return found


async def test_three_periods_above_the_target_and_the_delay_of_the_metric() -> None:
    story = Story(120)
    story.policy(4)
    assert await story.run([(0, 10)]) == [(50, 3)]


async def test_a_load_within_the_target_changes_nothing() -> None:
    story = Story(1200, count=2)
    story.policy(5)
    assert await story.run([(0, 10)]) == []


async def test_fifteen_minutes_below_nine_tenths_of_the_target() -> None:
    story = Story(1000, count=4)
    story.policy(4)
    assert await story.run([(0, 4)]) == [(920, 1)]


async def test_no_requests_are_no_values_and_the_fleet_stays() -> None:
    story = Story(2000, count=4)
    story.policy(4)
    assert await story.run() == []


async def test_requests_a_minute_are_seen_two_minutes_late() -> None:
    story = Story(400)
    story.policy(2, INVOCATIONS)
    # Each change of the number in flight from 0 is that many requests: five a minute.
    steps = [(60 * minute + offset, 5 * (1 - offset)) for minute in range(6) for offset in (0, 1)]
    assert await story.run(steps) == [(300, 3)]


async def test_instances_are_removed_if_every_policy_asks_for_it() -> None:
    story = Story(1400, count=4)
    story.policy(4)
    story.policy(1)
    assert await story.run([(0, 4)]) == []


async def test_a_policy_without_scale_in_adds_and_does_not_remove() -> None:
    story = Story(1400)
    story.policy(4, DisableScaleIn=True)
    assert await story.run([(0, 10), (100, 1)]) == [(50, 3)]


@pytest.mark.parametrize(
    ("suspended", "count"), [("DynamicScalingOutSuspended", 1), ("DynamicScalingInSuspended", 3)]
)
async def test_what_is_suspended_is_not_carried_out(suspended: str, count: int) -> None:
    story = Story(100)
    story.call("RegisterScalableTarget", SuspendedState={suspended: True})
    story.policy(4)
    await story.run([(0, 10)])
    assert story.variants.count == count


async def test_a_change_that_sagemaker_refuses_is_asked_for_again() -> None:
    story = Story(100)
    story.policy(4)
    story.variants.refused = True
    await story.run([(0, 10)])
    assert story.variants.count == 1
    assert [activity["StatusCode"] for activity in story.activities] == ["Failed"] * 6
    assert story.activities[0]["StatusMessage"].endswith("Reason: Cannot update in-progress endpoint")


async def test_a_deleted_policy_is_not_carried_out() -> None:
    story = Story(100)
    story.policy(4)
    story.call("DeleteScalingPolicy", PolicyName=f"{CONCURRENT}-4")
    assert await story.run([(0, 10)]) == []


async def test_a_scheduled_action_is_carried_out_in_its_time_zone() -> None:
    story = Story(7200)
    story.call(
        "PutScheduledAction",
        ScheduledActionName="days",
        Schedule="cron(30 7 ? * MON-FRI *)",
        Timezone="Europe/Berlin",
        ScalableTargetAction={"MinCapacity": 3},
    )
    assert await story.run() == [(1800, 3)]
    [activity] = story.activities
    assert activity["Description"] == "Setting min capacity to 3 and max capacity to 10"
    assert activity["Cause"] == "scheduled action name days was triggered"
    assert activity["StatusCode"] == "Successful"


async def test_suspended_schedules_change_nothing() -> None:
    story = Story(200)
    story.call("RegisterScalableTarget", SuspendedState={"ScheduledScalingSuspended": True})
    action = {"ScheduledActionName": "each", "Schedule": "cron(* * * * ? *)"}
    story.call("PutScheduledAction", **action, ScalableTargetAction={"MinCapacity": 3})
    assert await story.run() == []
    assert story.activities == []
