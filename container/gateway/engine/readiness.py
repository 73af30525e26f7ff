"""What /ping says, kept up to date in the background so that /ping itself never waits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from enum import Enum

from container.gateway.engine.backend import Backend
from container.gateway.errors import GatewayError
from container.gateway.request_context import Usage
from container.gateway.schemas.lorax import ONE_TOKEN

#: Seconds between two looks at an engine that starts, and at most at one that runs.
STARTING_INTERVAL = 0.25
RUNNING_INTERVAL = 5.0

_log = logging.getLogger(__name__)


class EngineState(Enum):
    """The engine as the gateway sees it; the value is the error type that callers get."""

    STARTING = "starting"
    READY = "ready"
    SILENT = "engine_unresponsive"
    DEAD = "engine_dead"
    STOPPING = "stopping"


class Readiness:
    """The engine's state: ready while it generates.

    That it generates is seen from the answers it gives. When it has given none for long, one token is asked
    for: an engine's own health check can be fine while generation hangs (LoRAX issue 779).
    """

    def __init__(self, backend: Backend, *, idle_seconds: float, silence_seconds: float) -> None:
        """Seconds without an answer: after the first, one is asked for; after the second, it is lost."""
        self._backend = backend
        self._idle_seconds = idle_seconds
        self._silence_seconds = silence_seconds
        self._token_seen_at = time.monotonic()
        self._probe: asyncio.Task[bool] | None = None
        self.state = EngineState.STARTING

    def saw_token(self) -> None:
        """The engine has just given an answer or a part of one."""
        self._token_seen_at = time.monotonic()

    @property
    def is_ready(self) -> bool:
        """Whether /ping answers 200."""
        return self.state is EngineState.READY

    def check(self) -> None:
        """Raise the 503 that a caller gets while the engine is not ready."""
        if not self.is_ready:
            words = self.state.value.replace("_", " ")
            raise GatewayError(
                503, self.state.value, f"The endpoint is not ready: {words}", retry_after_seconds=5
            )

    async def watch(self) -> None:
        """Wait for the engine, warm it up, then look at it for ever."""
        began = time.monotonic()
        while True:
            if await self._backend.is_healthy() and await self._generates():
                break
            await asyncio.sleep(STARTING_INTERVAL)
        self._change(EngineState.STARTING, EngineState.READY)
        _log.info("the engine is ready after %.1f s", time.monotonic() - began)
        interval = min(RUNNING_INTERVAL, self._idle_seconds / 2, self._silence_seconds / 4)
        while True:
            await asyncio.sleep(interval)
            self._look()

    def _look(self) -> None:
        quiet = time.monotonic() - self._token_seen_at
        if quiet < self._idle_seconds:
            self._change(EngineState.SILENT, EngineState.READY)
            return
        # One at a time: an engine that hangs is not helped by more.
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._answers())
        if quiet > self._silence_seconds:
            self._change(EngineState.READY, EngineState.SILENT)

    async def _answers(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._silence_seconds):
                return await self._generates()
        return False

    async def _generates(self) -> bool:
        try:
            await self._backend.generate(ONE_TOKEN, None, Usage())
        except GatewayError as error:
            _log.warning("the engine does not generate: %s", error.error_type)
            return False
        self.saw_token()
        return True

    def _change(self, old: EngineState, new: EngineState) -> None:
        """Only from `old`: an engine that has died or is being stopped stays so."""
        if self.state is old:
            if old is not EngineState.STARTING:
                _log.warning("the engine was %s and is %s", old.value, new.value)
            self.state = new
