"""Alarms that roll a deployment back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

#: Returns, read with an execution role, the state (OK, ALARM or INSUFFICIENT_DATA) of each existing alarm of
#: these names. Raises `AlarmsUnreadable`.
AlarmStates = Callable[[str, Sequence[str]], Awaitable[dict[str, str]]]

_POLL_INTERVAL_S: Final = 0.5


class UpdateFailed(Exception):
    """A deployment must be rolled back; the message is the reason."""


class AlarmsUnreadable(Exception):
    """The alarms' states cannot be read; the message is CloudWatch's error."""


class AlarmWatch:
    """The alarms of one deployment."""

    def __init__(self, names: Sequence[str], role: str, states: AlarmStates) -> None:
        """`names` are the alarms' names, possibly none; `role` is the execution role that reads them."""
        self._names = names
        self._role = role
        self._states = states

    async def check(self) -> None:
        """Raise `UpdateFailed` if an alarm is in ALARM, does not exist or cannot be read."""
        if not self._names:
            return
        try:
            states = await self._states(self._role, self._names)
        except AlarmsUnreadable as error:
            raise UpdateFailed(
                f"the alarms of AutoRollbackConfiguration could not be read: {error}"
            ) from error
        for name in self._names:
            if name not in states:
                raise UpdateFailed(f"alarm {name} of AutoRollbackConfiguration does not exist")
            if states[name] == "ALARM":
                raise UpdateFailed(f"alarm {name} is in state ALARM")

    async def bake(self, seconds: float) -> None:
        """Wait `seconds`, and poll the alarms meanwhile. Raises `UpdateFailed` as `check` does."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        await self.check()
        while (left := until - clock()) > 0:
            await asyncio.sleep(min(_POLL_INTERVAL_S, left))
            await self.check()
