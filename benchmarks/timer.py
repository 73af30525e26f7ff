"""Timer with a precision of some ten microseconds, on Linux's timerfd.

The timers of an event loop have a precision of milliseconds, which is as long as the measured latencies. A
timerfd is a file descriptor that the loop can watch.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from types import TracebackType
from typing import Self

# linux/time.h, linux/timerfd.h
_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = 0o4000
_TFD_TIMER_ABSTIME = 1
_LIBC = ctypes.CDLL(None, use_errno=True)

#: Nanoseconds of a clock that is the same in all processes of a machine.
now = time.monotonic_ns


class Timer:
    """Timer of the running event loop: `with Timer() as timer: await timer.until(instant)`."""

    def __enter__(self) -> Self:
        """Create the timer's file descriptor."""
        self._file = _LIBC.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._rang = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._file, self._ring)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the timer's file descriptor."""
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)

    async def until(self, instant: int) -> None:
        """Wait until `now()` is `instant`; return immediately if it has passed."""
        if instant <= now():
            return
        self._rang.clear()
        # struct itimerspec: interval (none) and first expiry, each in seconds and nanoseconds.
        setting = (ctypes.c_long * 4)(0, 0, *divmod(instant, 1_000_000_000))
        _LIBC.timerfd_settime(self._file, _TFD_TIMER_ABSTIME, ctypes.byref(setting), None)
        await self._rang.wait()

    def _ring(self) -> None:
        os.read(self._file, 8)
        self._rang.set()
