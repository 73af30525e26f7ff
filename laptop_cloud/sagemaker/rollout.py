"""One update of an endpoint: traffic moves from one fleet to another, or is rolled back."""

from __future__ import annotations

import asyncio

from laptop_cloud.api.service import Params
from laptop_cloud.sagemaker.fleet import Fleet
from laptop_cloud.sagemaker.rollback_alarms import AlarmStates, AlarmWatch, UpdateFailed
from laptop_cloud.sagemaker.update_policy import alarm_names, batch_size, time_limit, traffic_steps


class Rollout:
    """An update by a DeploymentConfig that `check_deployment` has accepted."""

    def __init__(self, old: Fleet, new: Fleet, deployment: Params, alarm_states: AlarmStates) -> None:
        """`old` has the endpoint's traffic, `new` has no instances."""
        self._old = old
        self._new = new
        self._blue_green = deployment.get("BlueGreenUpdatePolicy", {})
        self._rolling = deployment.get("RollingUpdatePolicy", {})
        self._steps = traffic_steps(deployment, new.count)
        self._limit = time_limit(deployment)
        self._watch = AlarmWatch(
            alarm_names(deployment), str(new.model.get("ExecutionRoleArn", "")), alarm_states
        )

    async def run(self) -> None:
        """Move the traffic to the new fleet by the policy, and retire the old one.

        Raises:
            InstanceFailed: a new instance did not come into service.
            UpdateFailed: an alarm is in ALARM or cannot be read, or the time limit has passed.

        After either error, call `roll_back`.
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

    async def roll_back(self) -> None:
        """Move the traffic back to the old fleet and retire the new one.

        Raises:
            InstanceFailed: an old instance did not start again; both fleets keep serving.
        """
        if self._rolling:
            await self._back_in_batches(self._rolling)
        self._old.share, self._new.share = 1.0, 0.0
        await self._new.empty()
        self._old.enter(None)

    async def _in_steps(self) -> None:
        """Blue/green: start the whole new fleet, then give it the traffic in steps."""
        self._new.enter("Creating")
        await self._new.fit()
        routing = self._blue_green.get("TrafficRoutingConfiguration", {})
        for share in self._steps:
            self._new.enter("ActivatingTraffic")
            self._new.share, self._old.share = share, 1.0 - share
            self._new.enter("Baking")
            if share < 1:
                await self._watch.bake(routing["WaitIntervalInSeconds"])
        await self._watch.bake(self._blue_green.get("TerminationWaitInSeconds", 0))

    async def _in_batches(self, policy: Params) -> None:
        """Rolling: start a batch, give it its share of the traffic, then retire as many old instances."""
        size = batch_size(policy["MaximumBatchSize"], self._new.count)
        while (missing := self._new.missing) > 0:
            self._new.enter("Creating")
            await self._new.grow(min(size, missing))
            self._new.enter("Baking")
            self._share_by_instances()
            await self._watch.bake(policy["WaitIntervalInSeconds"])
            if self._new.missing > 0:
                leaving = self._old.take(size)
                self._share_by_instances()
                await self._old.retire(leaving)
        self._old.share = 0.0

    async def _back_in_batches(self, policy: Params) -> None:
        count = self._old.count
        size = (
            batch_size(policy["RollbackMaximumBatchSize"], count)
            if "RollbackMaximumBatchSize" in policy
            else count
        )
        while (missing := self._old.missing) > 0:
            await self._old.grow(min(size, missing))
            leaving = self._new.take(size)
            self._share_by_instances()
            await self._new.retire(leaving)

    def _share_by_instances(self) -> None:
        """Give every instance of both fleets the same share of the traffic."""
        self._new.share, self._old.share = float(len(self._new.members)), float(len(self._old.members))
