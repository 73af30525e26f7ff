"""The clock of Application Auto Scaling; tests let it run faster than time."""

from __future__ import annotations

import asyncio
import time


class ScalingClock:
    """Seconds since the epoch that pass `speed` times as fast as time, from now on.

    Periods, delays, cooldowns and scheduled actions are measured by it; instances start, and requests are
    answered, in their own time.
    """

    def __init__(self, speed: float = 1.0) -> None:
        """`speed` is above 0; 10 makes a period of ten seconds last one."""
        self._speed = speed
        self._epoch = time.time()
        self._began = time.monotonic()

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return self._epoch + (time.monotonic() - self._began) * self._speed

    async def sleep_until(self, at: float) -> None:
        """Wait until the clock shows `at`; return at once if it has passed."""
        await asyncio.sleep(max(0.0, (at - self.now()) / self._speed))
