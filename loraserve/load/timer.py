"""Timer with a precision of some ten microseconds.

The timers of an event loop have a precision of milliseconds, which would be the generator's lag. Linux has
the timerfd, a file descriptor that the loop can watch; elsewhere the timer sleeps until shortly before, and
then polls.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from types import TracebackType
from typing import Protocol, Self

#: Nanoseconds of a clock that is the same in all processes of a machine.
now = time.monotonic_ns

# linux/time.h, linux/timerfd.h
_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = 0o4000
_TFD_TIMER_ABSTIME = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
#: The precision of an event loop's timers: uvloop (libuv) counts whole milliseconds, and rounds up.
_LOOP_NS = 2_000_000


class Timer(Protocol):
    """Timer of the running event loop: `with timer() as alarm: await alarm.until(instant)`."""

    def __enter__(self) -> Self:
        """Open the timer."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the timer."""

    async def until(self, instant: int) -> None:
        """Wait until `now()` is `instant`; return immediately if it has passed."""


class FileTimer:
    """Timer on Linux's timerfd."""

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
        try:
            os.read(self._file, 8)
        except BlockingIOError:
            return  # it was set anew in the same turn of the loop
        self._rang.set()


class PollingTimer:
    """Timer for systems without timerfd; it keeps the processor busy for two milliseconds of each wait."""

    def __enter__(self) -> Self:
        """Return the timer, which has nothing to open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close nothing."""

    async def until(self, instant: int) -> None:
        """Wait until `now()` is `instant`; return immediately if it has passed."""
        early = instant - now() - _LOOP_NS
        if early > 0:
            await asyncio.sleep(early / 1e9)
        while now() < instant:  # noqa: ASYNC110 - an Event would need a timer to set it
            await asyncio.sleep(0)


def timer() -> Timer:
    """Return the best timer of this system, closed."""
    return FileTimer() if sys.platform == "linux" else PollingTimer()
