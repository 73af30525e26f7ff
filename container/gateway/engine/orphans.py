"""Orphans of the engine's processes, for which the gateway is responsible as process 1 of its container.

A process whose parent has ended becomes a child of process 1, and stays a zombie until that one waits for
it. Each zombie takes a process number; when those of the container are used up, no process or thread starts.
"""

from __future__ import annotations

import asyncio
import os

#: Seconds between two looks. A zombie takes no memory to speak of, so a few seconds do no harm.
INTERVAL_SECONDS = 1.0


async def reap_orphans(engine_pid: int) -> None:
    """Wait for every orphan, until cancelled; do nothing unless this is process 1.

    The engine itself, `engine_pid`, is left to `EngineProcess`, which needs its exit code.
    """
    if os.getpid() != 1:
        return
    while True:
        _reap(engine_pid)
        await asyncio.sleep(INTERVAL_SECONDS)


def _reap(engine_pid: int) -> None:
    """Reap the children that have ended, up to the engine's process."""
    while True:
        try:
            # The kernel shows one ended child; WNOWAIT leaves it as it is.
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == engine_pid:
            return
        os.waitpid(ended.si_pid, 0)
