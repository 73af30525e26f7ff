"""A fleet: the instances of one configuration of an endpoint, and its share of the traffic."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Final

from laptop_cloud.api.records import now
from laptop_cloud.api.service import Params
from laptop_cloud.containers.image_store import ResolvedImage
from laptop_cloud.containers.instance import Instance, InstanceFailed
from laptop_cloud.containers.launcher import FleetLauncher

#: Seconds before a dead instance is replaced, so that a crash loop does not spin.
_REPLACE_AFTER_S: Final = 2.0
#: Seconds for an instance without new requests to answer those that it has accepted. It is SageMaker's limit
#: of the longest request (a streamed one), so an update cuts none.
DRAIN_LIMIT_S: Final = 480.0


class Member:
    """An instance in a fleet, and the number of its requests in flight."""

    def __init__(self, instance: Instance, config: str) -> None:
        """`instance` has been started; `config` is the name of its endpoint configuration."""
        self.instance = instance
        self.config = config
        #: The credit of the weighted round robin, see `traffic.next_member`.
        self.credit = 0.0
        self.in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def id(self) -> str:
        """The instance's id."""
        return self.instance.log.stem

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Count one request as in flight during the block."""
        self.in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._idle.set()

    async def drained(self) -> None:
        """Wait until no request is in flight, at most `DRAIN_LIMIT_S`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), DRAIN_LIMIT_S)


class Fleet:
    """Instances of one endpoint configuration, which has one variant. Used on the event loop only."""

    def __init__(
        self, config: Params, model: Params, launcher: FleetLauncher, running: set[Instance]
    ) -> None:
        """Set up a fleet without instances.

        Args:
            config: the endpoint configuration.
            model: the model of its variant.
            launcher: resolves the model's image and makes instances of it.
            running: the endpoint's instances that may have a process; this fleet adds and removes its own.
        """
        self.config = config
        self.model = model
        #: The image of every instance, resolved for the first one.
        self.image: ResolvedImage | None = None
        self.variant: Params = config["ProductionVariants"][0]
        #: The desired number of instances.
        self.count = int(self.variant.get("InitialInstanceCount", 1))
        #: The variant's weight. It is stored and returned; with one variant it has no effect.
        self.weight = float(self.variant.get("InitialVariantWeight", 1))
        #: This fleet's share of the endpoint's traffic, in proportion to the other fleet's.
        self.share = 0.0
        #: The state of the deployment for this fleet, a VariantStatus of DescribeEndpoint, and its start
        #: time.
        self.stage: str | None = None
        self.stage_since = now()
        #: The instances in rotation.
        self.members: list[Member] = []
        self._launcher = launcher
        self._running = running
        self._replacements: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """The variant's name."""
        return str(self.variant["VariantName"])

    @property
    def healthy(self) -> list[Member]:
        """The instances that can take a request."""
        return [member for member in self.members if member.instance.alive]

    @property
    def missing(self) -> int:
        """The desired number of instances minus those in rotation, dead ones included; below 0: too many."""
        return self.count - len(self.members)

    def enter(self, stage: str | None) -> None:
        """Set the state of the deployment for this fleet."""
        self.stage, self.stage_since = stage, now()

    async def grow(self, count: int) -> None:
        """Start `count` instances and put them into rotation, all or none.

        Raises:
            InstanceFailed: one of them did not come into service.
        """
        self.adopt(await self._started(count))

    def adopt(self, members: Iterable[Member]) -> None:
        """Put started instances into rotation, and replace each when its process ends."""
        for member in members:
            self.members.append(member)
            replacement = asyncio.create_task(self._replace_when_dead(member))
            self._replacements.add(replacement)
            replacement.add_done_callback(self._replacements.discard)

    def take(self, count: int) -> list[Member]:
        """Take up to `count` instances, the newest first, out of rotation: they get no new request."""
        taken = self.members[-count:] if count > 0 else []
        self.members = [member for member in self.members if member not in taken]
        return taken

    async def retire(self, members: list[Member]) -> None:
        """Stop instances that are out of rotation, each after its last request."""
        await asyncio.gather(*(self._retire(member) for member in members))

    async def fit(self) -> None:
        """Start or retire instances up to the desired number.

        Raises:
            InstanceFailed: an instance did not come into service; no new one is left.
        """
        missing = self.missing
        if missing > 0:
            await self.grow(missing)
        else:
            await self.retire(self.take(-missing))

    async def empty(self) -> None:
        """Retire every instance."""
        leaving, self.members = self.members, []
        await self.retire(leaving)

    async def drop(self) -> None:
        """Stop every instance at once, with its requests in flight."""
        await self.stop_replacing()
        leaving, self.members = self.members, []
        await self._stop([member.instance for member in leaving])

    async def stop_replacing(self) -> None:
        """Stop the replacement of dead instances."""
        for replacement in self._replacements:
            replacement.cancel()
        if self._replacements:
            await asyncio.wait(self._replacements)

    async def _started(self, count: int) -> list[Member]:
        try:
            if self.image is None:
                self.image = await self._launcher.resolve()
            instances = [await self._launcher.make(self.image) for _ in range(count)]
        except InstanceFailed:
            raise
        except Exception as error:
            # E.g. a request that times out: without this, the endpoint would stay in Creating.
            raise InstanceFailed(f"the instance could not be made: {error!r}") from error
        self._running.update(instances)
        try:
            outcomes = await asyncio.gather(*(i.start() for i in instances), return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise InstanceFailed(str(outcome)) from outcome
        except BaseException:
            await self._stop(instances)
            raise
        return [Member(instance, self.config["EndpointConfigName"]) for instance in instances]

    async def _retire(self, member: Member) -> None:
        try:
            await member.drained()
        finally:
            await self._stop([member.instance])

    async def _replace_when_dead(self, member: Member) -> None:
        """Replace an instance whose container has died, as SageMaker does; until then the others serve."""
        await member.instance.ended()
        while member in self.members:
            await asyncio.sleep(_REPLACE_AFTER_S)
            with contextlib.suppress(InstanceFailed):
                [new] = await self._started(1)
                if member not in self.members:
                    await self._stop([new.instance])
                    return
                self.members.remove(member)
                self._running.discard(member.instance)
                self.adopt([new])

    async def _stop(self, instances: list[Instance]) -> None:
        await asyncio.gather(*(instance.stop() for instance in instances))
        self._running.difference_update(instances)
