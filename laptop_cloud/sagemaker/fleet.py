"""A fleet: the instances that run one configuration of an endpoint, and the traffic that they get."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final

from laptop_cloud.api.records import now
from laptop_cloud.api.service import Params
from laptop_cloud.containers.instance import Instance, InstanceFailed
from laptop_cloud.sagemaker.member import Member

#: Makes one instance that is not started yet: from a variant and its model.
Make = Callable[[Params, Params], Instance]

#: Seconds before an instance that died is replaced, so that a crash loop does not spin.
_REPLACE_AFTER_S: Final = 2.0


class Fleet:
    """Instances of one endpoint configuration. Used on the event loop only."""

    def __init__(
        self, config: Params, models: dict[str, Params], make: Make, everyone: set[Instance]
    ) -> None:
        """No instances yet.

        Args:
            config: the endpoint configuration.
            models: its models by name.
            make: makes its instances.
            everyone: gets every instance that may have a process, until that is gone.
        """
        self.config = config
        self.models = models
        self.variants: dict[str, Params] = {v["VariantName"]: v for v in config["ProductionVariants"]}
        #: The desired number of instances, by variant.
        self.counts = {name: int(v.get("InitialInstanceCount", 1)) for name, v in self.variants.items()}
        self.weights = {name: float(v.get("InitialVariantWeight", 1)) for name, v in self.variants.items()}
        #: This fleet's part of the endpoint's traffic, in proportion to the other fleet's.
        self.share = 0.0
        #: What a deployment does with it, in the words of DescribeEndpoint, and since when.
        self.stage: str | None = None
        self.stage_since = now()
        #: The instances that are in rotation.
        self.members: list[Member] = []
        self._make = make
        self._everyone = everyone
        self._keepers: set[asyncio.Task[None]] = set()

    def of(self, variant: str) -> list[Member]:
        """The instances of `variant` that are in rotation, dead ones that will be replaced included."""
        return [member for member in self.members if member.instance.variant == variant]

    def able(self, variant: str) -> list[Member]:
        """The instances of `variant` that can take a request."""
        return [member for member in self.of(variant) if member.instance.alive]

    def missing(self, variant: str) -> int:
        """How many instances of `variant` are wanted beside those in rotation; below 0: too many."""
        return self.counts[variant] - len(self.of(variant))

    def enter(self, stage: str | None) -> None:
        """Note what a deployment now does with this fleet."""
        self.stage, self.stage_since = stage, now()

    async def grow(self, variant: str, count: int) -> None:
        """Start `count` instances and put them into rotation, all or none.

        Raises:
            InstanceFailed: one of them did not come into service.
        """
        self.adopt(await self._started(variant, count))

    def adopt(self, members: Iterable[Member]) -> None:
        """Put started instances into rotation, and replace each when its process dies."""
        for member in members:
            self.members.append(member)
            keeper = asyncio.create_task(self._replace_when_dead(member))
            self._keepers.add(keeper)
            keeper.add_done_callback(self._keepers.discard)

    def take(self, variant: str, count: int) -> list[Member]:
        """Take up to `count` instances, the newest first, out of rotation: they get no new request."""
        taken = self.of(variant)[-count:] if count > 0 else []
        self.members = [member for member in self.members if member not in taken]
        return taken

    async def retire(self, members: list[Member]) -> None:
        """Stop instances that are out of rotation, each after its last request."""
        await asyncio.gather(*(self._retire(member) for member in members))

    async def fit(self, variant: str) -> None:
        """Start or retire instances until there are as many as wanted. Raises `InstanceFailed`."""
        missing = self.missing(variant)
        if missing > 0:
            await self.grow(variant, missing)
        else:
            await self.retire(self.take(variant, -missing))

    async def fill(self) -> None:
        """Start every instance that is wanted. Raises `InstanceFailed`; none of a variant is left then."""
        outcomes = await asyncio.gather(
            *(self.fit(variant) for variant in self.counts), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def empty(self) -> None:
        """Retire every instance."""
        leaving, self.members = self.members, []
        await self.retire(leaving)

    async def drop(self) -> None:
        """Stop every instance at once, with the requests that are under way in it."""
        await self.release()
        leaving, self.members = self.members, []
        await self._stop([member.instance for member in leaving])

    async def release(self) -> None:
        """Replace no instance any more."""
        for keeper in self._keepers:
            keeper.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers)

    async def _started(self, variant: str, count: int) -> list[Member]:
        spec = self.variants[variant]
        instances = [self._make(spec, self.models[spec["ModelName"]]) for _ in range(count)]
        self._everyone.update(instances)
        try:
            outcomes = await asyncio.gather(*(i.start() for i in instances), return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise InstanceFailed(str(outcome)) from outcome
        except BaseException:
            await self._stop(instances)
            raise
        return [Member(instance) for instance in instances]

    async def _retire(self, member: Member) -> None:
        try:
            await member.drained()
        finally:
            await self._stop([member.instance])

    async def _replace_when_dead(self, member: Member) -> None:
        """SageMaker replaces an instance whose container has died; until then the others serve."""
        await member.instance.ended()
        while member in self.members:
            await asyncio.sleep(_REPLACE_AFTER_S)
            with contextlib.suppress(InstanceFailed):
                [new] = await self._started(member.instance.variant, 1)
                if member not in self.members:
                    await self._stop([new.instance])
                    return
                self.members.remove(member)
                self._everyone.discard(member.instance)
                self.adopt([new])

    async def _stop(self, instances: list[Instance]) -> None:
        await asyncio.gather(*(instance.stop() for instance in instances))
        self._everyone.difference_update(instances)
