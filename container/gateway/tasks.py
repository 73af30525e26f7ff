"""Tasks that may end when nobody waits for them any more."""

from __future__ import annotations

import asyncio
from typing import Any


def look_at_error(task: asyncio.Task[Any]) -> None:
    """A done-callback: asyncio complains about an error that nobody has looked at."""
    if not task.cancelled():
        task.exception()
