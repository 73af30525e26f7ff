"""The engine's process: started once, told to stop once, never restarted."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _stop_with_gateway() -> None:
    """Ask the kernel to stop the engine if the gateway is killed: nobody else would then.

    The engine leads a process group of its own, so a signal to the gateway's group does not reach it.
    """
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Engine:
    """A running engine."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Made by `start`."""
        self._process = process

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str]) -> Engine:
        """Start `command` with `environment` and nothing else; its output goes where ours goes.

        Raises `OSError` if the program cannot be run.
        """
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, start_new_session=True, preexec_fn=_stop_with_gateway
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait until the engine has ended; its exit code, or minus the signal that ended it."""
        return await self._process.wait()

    async def stop(self, grace_seconds: float) -> None:
        """Stop the engine, gently first.

        SIGTERM goes to the engine's first process only: vLLM fails all running requests if its
        other processes get it too. What is left after the grace period is killed with all its children.
        """
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), grace_seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
