"""What /ping says, kept up to date in the background so that /ping itself never waits."""

from __future__ import annotations

import asyncio
import logging
import time
from enum import Enum

from container.gateway.backend import Backend
from container.gateway.errors import GatewayError
from container.gateway.schema import GenerateRequest, Parameters

#: Seconds between two looks at an engine that starts, and at one that runs.
STARTING_INTERVAL = 0.25
RUNNING_INTERVAL = 5.0
#: Seconds for which a running engine may stay silent. LoRAX answers no health check while it loads
#: an adapter, which takes seconds.
MAX_SILENCE = 60.0

_log = logging.getLogger(__name__)
_WARM_UP = GenerateRequest(inputs="Hello", parameters=Parameters(max_new_tokens=1))


class EngineState(Enum):
    """The engine as the gateway sees it; the value is the error type that callers get."""

    STARTING = "starting"
    READY = "ready"
    SILENT = "engine_unresponsive"
    DEAD = "engine_dead"


class Readiness:
    """The engine's state, which only this class and the end of the engine's process change."""

    def __init__(self, backend: Backend) -> None:
        """Nothing is asked of `backend` before `watch`."""
        self._backend = backend
        self.state = EngineState.STARTING

    def check(self) -> None:
        """Raise the 503 that a caller gets while the engine is not ready."""
        if self.state is not EngineState.READY:
            words = self.state.value.replace("_", " ")
            raise GatewayError(503, self.state.value, f"The endpoint is not ready: {words}")

    async def watch(self) -> None:
        """Wait for the engine, warm it up, then look at it for ever."""
        began = time.monotonic()
        while self.state is EngineState.STARTING:
            await asyncio.sleep(STARTING_INTERVAL)
            if await self._warmed_up():
                self.state = EngineState.READY
        _log.info("the engine is ready after %.1f s", time.monotonic() - began)
        heard = time.monotonic()
        while True:
            await asyncio.sleep(RUNNING_INTERVAL)
            if await self._backend.is_healthy():
                heard = time.monotonic()
            silent = time.monotonic() - heard > MAX_SILENCE
            self._change(EngineState.SILENT if silent else EngineState.READY)

    async def _warmed_up(self) -> bool:
        if not await self._backend.is_healthy():
            return False
        try:
            await self._backend.generate(_WARM_UP, None)
        except GatewayError as error:
            _log.warning("the warm-up request failed: %s", error.error_type)
            return False
        return True

    def _change(self, state: EngineState) -> None:
        if state is not self.state:
            _log.warning("the engine was %s and is %s", self.state.value, state.value)
            self.state = state
