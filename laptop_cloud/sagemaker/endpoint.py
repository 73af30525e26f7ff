"""An endpoint: its status, and the operations on its fleet of instances."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final

from laptop_cloud.api.records import now
from laptop_cloud.api.service import Params, invalid
from laptop_cloud.containers.instance import Instance, InstanceFailed
from laptop_cloud.containers.launcher import FleetLauncherFactory
from laptop_cloud.sagemaker.fleet import Fleet, Member
from laptop_cloud.sagemaker.prefix_routing import PrefixRequest
from laptop_cloud.sagemaker.rollback_alarms import AlarmStates, UpdateFailed
from laptop_cloud.sagemaker.rollout import Rollout
from laptop_cloud.sagemaker.traffic import next_member

#: SageMaker's limit of FailureReason, in characters.
_REASON_LENGTH: Final = 1024
#: The statuses in which no operation is in progress.
_IDLE: Final = ("InService", "UpdateRollbackFailed", "Failed")


class Endpoint:
    """One endpoint. Every method runs on the event loop."""

    def __init__(
        self,
        name: str,
        arn: str,
        config: Params,
        model: Params,
        launcher_of: FleetLauncherFactory,
        alarm_states: AlarmStates,
    ) -> None:
        """Set up an endpoint without instances; `create` starts those of `config`.

        Args:
            name: the endpoint's name.
            arn: its ARN.
            config: its endpoint configuration.
            model: the model of the configuration's variant.
            launcher_of: returns what makes the instances of a fleet.
            alarm_states: returns the states of CloudWatch alarms.
        """
        self.name = name
        self.arn = arn
        self.status = "Creating"
        self.failure: str | None = None
        self.deployment: Params = {}
        self.created = self.modified = now()
        self._alarm_states = alarm_states
        self._launcher_of = launcher_of
        self._running: set[Instance] = set()
        self.fleet = self.fleet_of(config, model)
        #: The new fleet during an update.
        self.pending: Fleet | None = None
        self._operation: asyncio.Task[None] | None = None
        self._delayed: set[asyncio.Task[None]] = set()

    @property
    def config(self) -> Params:
        """The configuration in force; an update's replaces it when the deployment is complete."""
        return self.fleet.config

    @property
    def instances(self) -> int:
        """The number of instances in service, those of an update's new fleet included."""
        return sum(len(fleet.healthy) for fleet in self._fleets())

    def fleet_of(self, config: Params, model: Params) -> Fleet:
        """Return a fleet of this endpoint without instances."""
        variant = config["ProductionVariants"][0]
        return Fleet(config, model, self._launcher_of(self.name, variant, model), self._running)

    def create(self) -> None:
        """Begin to start the instances."""
        self._begin(self._create(), "Creating")

    def update(self, new: Fleet) -> None:
        """Begin to move the traffic to the fleet `new` of `fleet_of`, by the policy in `deployment`."""
        self.check_updatable()
        self._begin(self._update(new), "Updating")

    def scale(self, count: int, weight: float) -> None:
        """Begin to change the number of instances, and set the weight.

        Raises `ServiceError` unless the endpoint is in service.
        """
        self.check_updatable()
        if self.status != "InService":
            raise invalid(f'Cannot scale endpoint "{self.arn}" in status {self.status}: update it first.')
        self.fleet.count, self.fleet.weight = count, weight
        self._begin(self._scale(), "Updating")

    def enforce_bounds(self, variant: str, low: int, high: int) -> None:
        """Scale `variant` to at least `low` and at most `high` instances, after the operation in progress."""
        if self.status == "InService":
            self._enforce_now(variant, low, high)
        else:
            delayed = asyncio.create_task(self._enforce_later(variant, low, high))
            self._delayed.add(delayed)
            delayed.add_done_callback(self._delayed.discard)

    def delete(self, on_deleted: Callable[[], object]) -> None:
        """Begin to stop every instance, then call `on_deleted`.

        Raises `ServiceError` while the endpoint is being created, updated or deleted.
        """
        self._check_idle()
        self._begin(self._delete(on_deleted), "Deleting")

    def check_updatable(self) -> None:
        """Raise `ServiceError` if an operation is in progress, or the endpoint has failed."""
        self._check_idle()
        if self.status == "Failed":
            raise invalid(f'Cannot update failed endpoint "{self.arn}": it can only be deleted.')

    async def settled(self) -> None:
        """Wait until no operation is in progress."""
        while self._operation is not None and not self._operation.done():
            await asyncio.wait([self._operation])

    async def shut_down(self) -> None:
        """Cancel the operation in progress and stop every instance."""
        await _cancelled(self._delayed | ({self._operation} if self._operation else set()))
        for fleet in self._fleets():
            await fleet.stop_replacing()
        await asyncio.gather(*(instance.stop() for instance in list(self._running)))

    def pick(self, variant: str | None, request: PrefixRequest) -> Member | None:
        """Return the instance for a request, of `variant` if one is given; None if there is none."""
        return next_member(self._fleets(), variant, request)

    def _fleets(self) -> list[Fleet]:
        return [self.fleet] if self.pending is None else [self.fleet, self.pending]

    def _check_idle(self) -> None:
        if self.status not in _IDLE:
            raise invalid(f'Cannot update in-progress endpoint "{self.arn}".')

    def _begin(self, operation: Coroutine[Any, Any, None], status: str) -> None:
        self._set(status)
        self._operation = asyncio.create_task(operation)

    def _set(self, status: str, failure: str | None = None) -> None:
        self.status, self.modified = status, now()
        self.failure = _shortened(failure) if failure else None

    async def _create(self) -> None:
        self.fleet.share = 1.0
        try:
            await self.fleet.fit()
        except InstanceFailed as error:
            await self.fleet.drop()
            self._set("Failed", str(error))
        else:
            self._set("InService")

    async def _update(self, new: Fleet) -> None:
        self.pending = new
        rollout = Rollout(self.fleet, new, self.deployment, self._alarm_states)
        try:
            await rollout.run()
        except (InstanceFailed, UpdateFailed) as error:
            await self._roll_back(rollout, new, str(error))
        else:
            self.fleet, self.pending = new, None
            self._set("InService")

    async def _roll_back(self, rollout: Rollout, new: Fleet, reason: str) -> None:
        self._set("RollingBack", reason)
        kept = self.config["EndpointConfigName"]
        try:
            await rollout.roll_back()
        except InstanceFailed as error:
            await new.stop_replacing()
            self.fleet.adopt(new.members)
            self.pending = None
            self.fleet.share = 1.0
            self._set(
                "UpdateRollbackFailed",
                f"The update failed, and so did the way back to {kept}: instances of both configurations "
                f"serve until the next UpdateEndpoint. {reason} Then: {error}",
            )
        else:
            self.pending = None
            self._set("InService", f"The update failed and {kept} stays in force. {reason}")

    async def _scale(self) -> None:
        try:
            await self.fleet.fit()
        except InstanceFailed as error:
            self.fleet.count = len(self.fleet.members)
            self._set("InService", f"The number of instances stays as it was. {error}")
        else:
            self._set("InService")

    def _enforce_now(self, variant: str, low: int, high: int) -> None:
        count = self.fleet.count
        if variant == self.fleet.name and not low <= count <= high:
            self.scale(min(max(count, low), high), self.fleet.weight)

    async def _enforce_later(self, variant: str, low: int, high: int) -> None:
        await self.settled()
        if self.status == "InService":
            self._enforce_now(variant, low, high)

    async def _delete(self, on_deleted: Callable[[], object]) -> None:
        await _cancelled(self._delayed)
        await self.fleet.drop()
        on_deleted()


async def _cancelled(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel the tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _shortened(reason: str) -> str:
    """Return the reason within SageMaker's limit; the middle is cut, with the older lines of a log."""
    if len(reason) <= _REASON_LENGTH:
        return reason
    head, _, tail = reason.partition("\n")
    room = _REASON_LENGTH - len(head) - 2
    return f"{head}\n…{tail[-room:]}" if room > 0 else reason[:_REASON_LENGTH]
