"""One update of an endpoint: from the fleet that serves to a new one, or back."""

from __future__ import annotations

import asyncio

from laptop_cloud.api.service import Params
from laptop_cloud.sagemaker.fleet import Fleet
from laptop_cloud.sagemaker.rollback_alarms import AlarmStates, AlarmWatch, UpdateFailed
from laptop_cloud.sagemaker.update_policy import alarm_names, batch_size, time_limit, traffic_steps


class Rollout:
    """Carries out a DeploymentConfig that `check_deployment` has passed."""

    def __init__(self, old: Fleet, new: Fleet, deployment: Params, alarm_states: AlarmStates) -> None:
        """`old` has the endpoint's traffic, `new` has no instances yet."""
        self._old = old
        self._new = new
        self._blue_green = deployment.get("BlueGreenUpdatePolicy", {})
        self._rolling = deployment.get("RollingUpdatePolicy", {})
        self._steps = traffic_steps(deployment, new.counts)
        self._limit = time_limit(deployment)
        self._watch = AlarmWatch(alarm_names(deployment), _role_of(new), alarm_states)

    async def run(self) -> None:
        """Move the traffic to the new fleet, by the policy, and retire the old one.

        Raises:
            InstanceFailed: a new instance did not come into service.
            UpdateFailed: an alarm went off, or the time was over. After either, `undo`.
        """
        try:
            async with asyncio.timeout(self._limit):
                await self._watch.check()
                await (self._in_batches(self._rolling) if self._rolling else self._in_steps())
        except TimeoutError:
            raise UpdateFailed(
                f"the deployment was not complete after {self._limit} s (MaximumExecutionTimeoutInSeconds)"
            ) from None
        self._old.enter("Deleting")
        await self._old.empty()
        self._new.enter(None)

    async def undo(self) -> None:
        """Bring the traffic back to the old fleet and retire the new one.

        Raises:
            InstanceFailed: an old instance did not come back; both fleets go on serving.
        """
        if self._rolling:
            await self._back_in_batches(self._rolling)
        self._old.share, self._new.share = 1.0, 0.0
        await self._new.empty()
        self._old.enter(None)

    async def _in_steps(self) -> None:
        """Blue/green: the whole new fleet comes up, then gets more and more of the traffic."""
        self._new.enter("Creating")
        await self._new.fill()
        routing = self._blue_green.get("TrafficRoutingConfiguration", {})
        for part in self._steps:
            self._new.enter("ActivatingTraffic")
            self._new.share, self._old.share = part, 1.0 - part
            self._new.enter("Baking")
            if part < 1:
                await self._watch.bake(routing["WaitIntervalInSeconds"])
        await self._watch.bake(self._blue_green.get("TerminationWaitInSeconds", 0))

    async def _in_batches(self, policy: Params) -> None:
        """Rolling: a batch comes up, gets its part of the traffic, and then as many old instances go."""
        [variant] = self._new.counts
        size = batch_size(policy["MaximumBatchSize"], self._new.counts[variant])
        while (missing := self._new.missing(variant)) > 0:
            self._new.enter("Creating")
            await self._new.grow(variant, min(size, missing))
            self._new.enter("Baking")
            self._by_instances()
            await self._watch.bake(policy["WaitIntervalInSeconds"])
            if self._new.missing(variant) > 0:
                leaving = self._old.take(variant, size)
                self._by_instances()
                await self._old.retire(leaving)
        self._old.share = 0.0

    async def _back_in_batches(self, policy: Params) -> None:
        [variant] = self._old.counts
        count = self._old.counts[variant]
        size = (
            batch_size(policy["RollbackMaximumBatchSize"], count)
            if "RollbackMaximumBatchSize" in policy
            else count
        )
        while (missing := self._old.missing(variant)) > 0:
            await self._old.grow(variant, min(size, missing))
            leaving = self._new.take(variant, size)
            self._by_instances()
            await self._new.retire(leaving)

    def _by_instances(self) -> None:
        """Let every instance of both fleets have the same part of the traffic."""
        self._new.share, self._old.share = float(len(self._new.members)), float(len(self._old.members))


def _role_of(fleet: Fleet) -> str:
    """The execution role of a fleet's first variant."""
    first = next(iter(fleet.variants.values()))
    return str(fleet.models[first["ModelName"]].get("ExecutionRoleArn", ""))
