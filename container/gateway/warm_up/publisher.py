"""Publishes the instance's demand, which the endpoint's next instances load before they serve."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import uuid

from container.gateway.adapters.registry import ObjectStore, StoreError
from container.gateway.warm_up.counts import WarmUpCounts
from container.gateway.warm_up.demand import AdapterDemand
from container.gateway.warm_up.demand_list import demand_list, demand_prefix

#: Mean seconds between two writes. S3 bills 5 USD for a million: 0.43 USD a month for each instance.
INTERVAL_SECONDS = 30.0
#: Mean seconds before the first write, doubled for each later one up to `INTERVAL_SECONDS`: while the load
#: rises, the next instance starts soon after this one.
FIRST_INTERVAL_SECONDS = 5.0
#: Interval of the random factor: instances that started together must not write together for ever.
_JITTER = (0.75, 1.25)
#: Seconds for the last write, of the 30 that SageMaker gives a container to stop in.
LAST_WRITE_SECONDS = 2.0

_log = logging.getLogger(__name__)


class DemandPublisher:
    """Writes the list of an instance at an interval, if there were requests since the last write.

    Runs beside the requests: none waits for it. A failure is counted, and logged once until a write succeeds.
    """

    def __init__(
        self, store: ObjectStore, demand: AdapterDemand, counts: WarmUpCounts, *, endpoint: str
    ) -> None:
        """Choose the list's name at random.

        SageMaker documents no id of an instance that a container could read, and the name of the host is not
        promised to differ between two. A container that is started again is another one: its adapters are
        gone, and so is its count.
        """
        self._store = store
        self._demand = demand
        self._counts = counts
        self._key = f"{demand_prefix(endpoint)}{uuid.uuid4().hex}.json"
        self._published = 0
        self._failing = False

    async def run(self) -> None:
        """Publish until cancelled."""
        interval = FIRST_INTERVAL_SECONDS
        while True:
            await asyncio.sleep(interval * random.uniform(*_JITTER))
            await self.publish()
            interval = min(2 * interval, INTERVAL_SECONDS)

    async def publish(self) -> None:
        """Write the list now if there were requests since the last write; never fails."""
        count = self._demand.count
        if count == self._published:
            return
        try:
            await self._store.write(self._key, demand_list(self._demand.weights()))
        except StoreError as error:
            self._counts.errors += 1
            if not self._failing:
                _log.warning("the demand for adapters cannot be published: %s", error)
            self._failing = True
        else:
            self._published = count
            self._failing = False

    async def publish_last(self) -> None:
        """Publish as the instance stops: an endpoint that scales to zero has no other instance to ask."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WRITE_SECONDS):
                await self.publish()
