"""An endpoint: the instances that serve it, and how they come, are exchanged and go."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, Final

from loraserve.local.instance import Instance, InstanceFailed
from loraserve.local.records import now
from loraserve.local.service import Params, invalid

#: Makes one instance that is not started yet: from the endpoint's name, a variant and its model.
MakeInstance = Callable[[str, Params, Params], Instance]

#: SageMaker's limit for FailureReason.
_REASON_LENGTH: Final = 1024
#: Seconds before an instance that died is replaced, so that a crash loop does not spin.
_REPLACE_AFTER_S: Final = 2.0


class Endpoint:
    """One endpoint. Every method runs on the event loop."""

    def __init__(self, name: str, arn: str, make_instance: MakeInstance) -> None:
        """An endpoint without instances; `create` gives it some."""
        self.name = name
        self.arn = arn
        self.status = "Creating"
        self.failure: str | None = None
        self.config: Params = {}
        self.deployment: Params = {}
        self.created = self.modified = now()
        self._make_instance = make_instance
        self._models: dict[str, Params] = {}
        self._serving: list[Instance] = []
        self._all: set[Instance] = set()
        self._turn = itertools.count()
        self._work: asyncio.Task[None] | None = None
        self._keepers: set[asyncio.Task[None]] = set()

    def create(self, config: Params, models: dict[str, Params]) -> None:
        """Begin to start the instances that `config` asks for; `models` are its models by name."""
        self.config, self._models = config, models
        self._begin(self._create(), "Creating")

    def update(self, config: Params, models: dict[str, Params]) -> None:
        """Begin a blue/green update: new instances beside the old ones, then all traffic at once."""
        self.check_updatable()
        self._begin(self._update(config, models), "Updating")

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
        """Return when whatever is under way is done."""
        if self._work is not None:
            await asyncio.wait([self._work])

    async def abandon(self) -> None:
        """Stop every instance now, whatever is under way."""
        await _cancelled(self._keepers | ({self._work} if self._work else set()))
        await self._stop(list(self._all))

    def pick(self, variant: str | None) -> Instance | None:
        """The instance whose turn it is, of `variant` if one is named; None if none is alive."""
        able = [i for i in self._serving if i.alive and variant in (None, i.variant)]
        return able[next(self._turn) % len(able)] if able else None

    def variants(self) -> dict[str, Params]:
        """The variants of the configuration in force, by name."""
        return {variant["VariantName"]: variant for variant in self.config["ProductionVariants"]}

    def image(self, variant: Params) -> str:
        """The image that `variant` runs."""
        return str(primary_container(self._models[variant["ModelName"]])["Image"])

    def live(self, variant: str) -> int:
        """How many instances of `variant` are in service."""
        return sum(1 for i in self._serving if i.alive and i.variant == variant)

    def _check_idle(self) -> None:
        if self.status not in ("InService", "Failed"):
            raise invalid(f'Cannot update in-progress endpoint "{self.arn}".')

    def _begin(self, work: Coroutine[Any, Any, None], status: str) -> None:
        self._set(status)
        self._work = asyncio.create_task(work)

    def _set(self, status: str, failure: str | None = None) -> None:
        self.status, self.modified = status, now()
        self.failure = _shortened(failure) if failure else None

    async def _create(self) -> None:
        try:
            self._serve(await self._started(self.config, self._models))
        except InstanceFailed as error:
            self._set("Failed", str(error))
        else:
            self._set("InService")

    async def _update(self, config: Params, models: dict[str, Params]) -> None:
        try:
            new = await self._started(config, models)
        except InstanceFailed as error:
            kept = self.config["EndpointConfigName"]
            self._set("InService", f"The update failed and {kept} stays in force. {error}")
            return
        old = self._serving
        self.config, self._models = config, models
        self._serve(new)
        await self._stop(old)
        self._set("InService")

    async def _delete(self, on_gone: Callable[[], object]) -> None:
        await _cancelled(self._keepers)
        serving, self._serving = self._serving, []
        await self._stop(serving)
        on_gone()

    async def _started(self, config: Params, models: dict[str, Params]) -> list[Instance]:
        instances = [
            self._make_instance(self.name, variant, models[variant["ModelName"]])
            for variant in config["ProductionVariants"]
            for _ in range(variant.get("InitialInstanceCount", 1))
        ]
        self._all.update(instances)
        outcomes = await asyncio.gather(*(i.start() for i in instances), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                await self._stop(instances)
                raise InstanceFailed(str(outcome)) from outcome
        return instances

    def _serve(self, instances: list[Instance]) -> None:
        self._serving = instances
        for instance in instances:
            self._keep(instance)

    def _keep(self, instance: Instance) -> None:
        keeper = asyncio.create_task(self._replace_when_dead(instance))
        self._keepers.add(keeper)
        keeper.add_done_callback(self._keepers.discard)

    async def _replace_when_dead(self, instance: Instance) -> None:
        """SageMaker replaces an instance whose container has died; until then the others serve."""
        await instance.ended()
        while instance in self._serving:
            await asyncio.sleep(_REPLACE_AFTER_S)
            variant = self.variants()[instance.variant]
            one = {**self.config, "ProductionVariants": [{**variant, "InitialInstanceCount": 1}]}
            with contextlib.suppress(InstanceFailed):
                [new] = await self._started(one, self._models)
                if instance not in self._serving:
                    await self._stop([new])
                    return
                self._serving[self._serving.index(instance)] = new
                self._all.discard(instance)
                self._keep(new)

    async def _stop(self, instances: list[Instance]) -> None:
        await asyncio.gather(*(i.stop() for i in instances))
        self._all.difference_update(instances)


def primary_container(model: Params) -> Params:
    """The one container of a model."""
    container: Params = model["PrimaryContainer"] if "PrimaryContainer" in model else model["Containers"][0]
    return container


async def _cancelled(tasks: set[asyncio.Task[None]]) -> None:
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
