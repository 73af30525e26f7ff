"""An instance in a fleet, and the requests that are under way in it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

from laptop_cloud.containers.instance import Instance

#: Seconds that an instance without traffic may take to answer what it has accepted. It is the longest
#: that SageMaker lets a request last (a streamed one), so an update cuts none.
DRAIN_LIMIT_S: Final = 480.0


class Member:
    """An instance in a fleet, and the requests that are under way in it."""

    def __init__(self, instance: Instance) -> None:
        """`instance` has been started."""
        self.instance = instance
        #: The claim to the next request, see `traffic.chosen`.
        self.credit = 0.0
        self.under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Count one request as under way for as long as the block lasts."""
        self.under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.under_way -= 1
            if not self.under_way:
                self._idle.set()

    async def drained(self) -> None:
        """Return when no request is under way, or when the limit is over."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), DRAIN_LIMIT_S)
