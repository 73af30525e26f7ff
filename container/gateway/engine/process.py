"""The engine's process: started once, stopped once, never restarted."""

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
    """Have the kernel send SIGTERM to the engine if the gateway is killed.

    The engine leads a separate process group, so a signal to the gateway's group does not reach it.
    """
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class EngineProcess:
    """A running engine process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Use `start`."""
        self._process = process

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str]) -> EngineProcess:
        """Start `command` with `environment` and nothing else; it inherits stdout and stderr.

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
        """Wait for the engine's exit; return its exit code, or minus the signal that ended it."""
        return await self._process.wait()

    async def stop(self, grace_seconds: float) -> None:
        """Stop the engine: SIGTERM, then SIGKILL to the whole process group after `grace_seconds`.

        SIGTERM goes to the engine's first process only: vLLM fails all running requests if its other
        processes receive it too.
        """
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), grace_seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
