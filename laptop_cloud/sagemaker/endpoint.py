"""An endpoint: its status, and what is done to the fleet of instances that serves it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, Final

from laptop_cloud.api.records import now
from laptop_cloud.api.service import Params, invalid
from laptop_cloud.containers.instance import Instance, InstanceFailed
from laptop_cloud.sagemaker.fleet import Fleet
from laptop_cloud.sagemaker.member import Member
from laptop_cloud.sagemaker.rollback_alarms import AlarmStates, UpdateFailed
from laptop_cloud.sagemaker.rollout import Rollout
from laptop_cloud.sagemaker.traffic import chosen

#: Makes one instance that is not started yet: from the endpoint's name, a variant and its model.
MakeInstance = Callable[[str, Params, Params], Instance]

#: SageMaker's limit for FailureReason.
_REASON_LENGTH: Final = 1024
#: The statuses in which nothing is under way.
_IDLE: Final = ("InService", "UpdateRollbackFailed", "Failed")


class Endpoint:
    """One endpoint. Every method runs on the event loop."""

    def __init__(
        self,
        name: str,
        arn: str,
        config: Params,
        models: dict[str, Params],
        make_instance: MakeInstance,
        alarm_states: AlarmStates,
    ) -> None:
        """An endpoint without instances; `create` gives it those that `config` asks for.

        `models` are the configuration's models by name; `alarm_states` tells alarms' states.
        """
        self.name = name
        self.arn = arn
        self.status = "Creating"
        self.failure: str | None = None
        self.deployment: Params = {}
        self.created = self.modified = now()
        self._alarm_states = alarm_states
        self._make_instance = make_instance
        self._everyone: set[Instance] = set()
        self.fleet = self.fleet_of(config, models)
        #: The fleet that an update is bringing up, while it does.
        self.coming: Fleet | None = None
        self._work: asyncio.Task[None] | None = None
        self._later: set[asyncio.Task[None]] = set()

    @property
    def config(self) -> Params:
        """The configuration in force; a new one is when its deployment is complete."""
        return self.fleet.config

    def fleet_of(self, config: Params, models: dict[str, Params]) -> Fleet:
        """A fleet of this endpoint, without instances yet."""
        make = self._make_instance
        return Fleet(config, models, lambda variant, model: make(self.name, variant, model), self._everyone)

    def create(self) -> None:
        """Begin to start the instances."""
        self._begin(self._create(), "Creating")

    def update(self, new: Fleet) -> None:
        """Begin to move to the fleet `new`, which this endpoint's `fleet_of` made, as `deployment` says."""
        self.check_updatable()
        self._begin(self._update(new), "Updating")

    def scale(self, counts: Mapping[str, int], weights: Mapping[str, float]) -> None:
        """Begin to give variants other numbers of instances, and give them other weights.

        Raises `ServiceError` unless the endpoint is in service.
        """
        self.check_updatable()
        if self.status != "InService":
            raise invalid(f'Cannot scale endpoint "{self.arn}" in status {self.status}: update it first.')
        self.fleet.weights.update(weights)
        self.fleet.counts.update(counts)
        self._begin(self._scale(counts), "Updating")

    def hold_within(self, variant: str, low: int, high: int) -> None:
        """Scale `variant` to at least `low` and at most `high` instances, after what is under way."""
        if self.status == "InService":
            self._hold_now(variant, low, high)
        else:
            later = asyncio.create_task(self._hold_later(variant, low, high))
            self._later.add(later)
            later.add_done_callback(self._later.discard)

    def delete(self, on_gone: Callable[[], object]) -> None:
        """Begin to stop every instance, then call `on_gone`.

        Raises `ServiceError` while the endpoint is being created, updated or deleted.
        """
        self._check_idle()
        self._begin(self._delete(on_gone), "Deleting")

    def check_updatable(self) -> None:
        """Raise `ServiceError` unless the endpoint is in service."""
        self._check_idle()
        if self.status == "Failed":
            raise invalid(f'Cannot update failed endpoint "{self.arn}": it can only be deleted.')

    async def settled(self) -> None:
        """Return when nothing is under way."""
        while self._work is not None and not self._work.done():
            await asyncio.wait([self._work])

    async def abandon(self) -> None:
        """Stop every instance now, whatever is under way."""
        await _cancelled(self._later | ({self._work} if self._work else set()))
        for fleet in self._fleets():
            await fleet.release()
        await asyncio.gather(*(instance.stop() for instance in list(self._everyone)))

    def pick(self, variant: str | None) -> Member | None:
        """The instance whose turn it is, of `variant` if one is named; None if none can take a request."""
        return chosen(self._fleets(), variant)

    def variants(self) -> dict[str, Params]:
        """The variants of the configuration in force, by name."""
        return self.fleet.variants

    def _fleets(self) -> list[Fleet]:
        return [self.fleet] if self.coming is None else [self.fleet, self.coming]

    def _check_idle(self) -> None:
        if self.status not in _IDLE:
            raise invalid(f'Cannot update in-progress endpoint "{self.arn}".')

    def _begin(self, work: Coroutine[Any, Any, None], status: str) -> None:
        self._set(status)
        self._work = asyncio.create_task(work)

    def _set(self, status: str, failure: str | None = None) -> None:
        self.status, self.modified = status, now()
        self.failure = _shortened(failure) if failure else None

    async def _create(self) -> None:
        self.fleet.share = 1.0
        try:
            await self.fleet.fill()
        except InstanceFailed as error:
            await self.fleet.drop()
            self._set("Failed", str(error))
        else:
            self._set("InService")

    async def _update(self, new: Fleet) -> None:
        self.coming = new
        rollout = Rollout(self.fleet, new, self.deployment, self._alarm_states)
        try:
            await rollout.run()
        except (InstanceFailed, UpdateFailed) as error:
            await self._roll_back(rollout, new, str(error))
        else:
            self.fleet, self.coming = new, None
            self._set("InService")

    async def _roll_back(self, rollout: Rollout, new: Fleet, reason: str) -> None:
        self._set("RollingBack", reason)
        kept = self.config["EndpointConfigName"]
        try:
            await rollout.undo()
        except InstanceFailed as error:
            await new.release()
            self.fleet.adopt(new.members)
            self.coming = None
            self.fleet.share = 1.0
            self._set(
                "UpdateRollbackFailed",
                f"The update failed, and so did the way back to {kept}: instances of both configurations "
                f"serve until the next UpdateEndpoint. {reason} Then: {error}",
            )
        else:
            self.coming = None
            self._set("InService", f"The update failed and {kept} stays in force. {reason}")

    async def _scale(self, counts: Mapping[str, int]) -> None:
        try:
            await self.fleet.fill()
        except InstanceFailed as error:
            for variant in counts:
                self.fleet.counts[variant] = len(self.fleet.of(variant))
            self._set("InService", f"The number of instances stays as it was. {error}")
        else:
            self._set("InService")

    def _hold_now(self, variant: str, low: int, high: int) -> None:
        count = self.fleet.counts.get(variant)
        if count is not None and not low <= count <= high:
            self.scale({variant: min(max(count, low), high)}, {})

    async def _hold_later(self, variant: str, low: int, high: int) -> None:
        await self.settled()
        if self.status == "InService":
            self._hold_now(variant, low, high)

    async def _delete(self, on_gone: Callable[[], object]) -> None:
        await _cancelled(self._later)
        await self.fleet.drop()
        on_gone()


def primary_container(model: Params) -> Params:
    """The one container of a model."""
    container: Params = model["PrimaryContainer"] if "PrimaryContainer" in model else model["Containers"][0]
    return container


async def _cancelled(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel the tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _shortened(reason: str) -> str:
    """The reason within SageMaker's limit; what goes is the middle, where a log's older lines are."""
    if len(reason) <= _REASON_LENGTH:
        return reason
    head, _, tail = reason.partition("\n")
    room = _REASON_LENGTH - len(head) - 2
    return f"{head}\n…{tail[-room:]}" if room > 0 else reason[:_REASON_LENGTH]
