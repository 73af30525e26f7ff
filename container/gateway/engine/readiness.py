"""Readiness of the engine, updated in the background so that /ping never waits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from enum import Enum

from container.gateway.engine.backend import Backend
from container.gateway.errors import WRONG_ADAPTER, GatewayError
from container.gateway.request_context import Usage
from container.gateway.schemas.lorax import ONE_TOKEN

#: Seconds between checks of a starting engine, and the maximum for a running one.
STARTING_INTERVAL = 0.25
RUNNING_INTERVAL = 5.0

_log = logging.getLogger(__name__)


class EngineState(Enum):
    """The engine's state as the gateway sees it; the value is the error type of a 503."""

    STARTING = "starting"
    READY = "ready"
    SILENT = "engine_unresponsive"
    DEAD = "engine_dead"
    STOPPING = "stopping"
    WRONG = WRONG_ADAPTER


class Readiness:
    """The engine's state: ready while it generates.

    Each token of an answer proves that it generates. After `idle_seconds` without one the gateway requests
    one: an engine's own health check can succeed while generation hangs (LoRAX issue 779). After
    `silence_seconds` without one the engine is SILENT, until the next token.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        idle_seconds: float,
        silence_seconds: float,
        prepare: Callable[[], Awaitable[None]],
    ) -> None:
        """`idle_seconds` and `silence_seconds` are since the last token.

        `prepare` runs once the engine generates, before /ping answers 200. It may wait for the engine without
        a limit, as the first token does: SageMaker replaces an instance that does not get ready in time.
        """
        self._backend = backend
        self._idle_seconds = idle_seconds
        self._silence_seconds = silence_seconds
        self._token_seen_at = time.monotonic()
        self._prepare = prepare
        self._probe: asyncio.Task[bool] | None = None
        self.state = EngineState.STARTING

    def saw_token(self) -> None:
        """Record that the engine has just sent an answer or an event of one."""
        self._token_seen_at = time.monotonic()

    @property
    def is_ready(self) -> bool:
        """True if /ping answers 200."""
        return self.state is EngineState.READY

    def check(self) -> None:
        """Raise `GatewayError` 503 while the engine is not ready."""
        if not self.is_ready:
            state = self.state.value.replace("_", " ")
            raise GatewayError(
                503,
                self.state.value,
                f"The endpoint is not ready ({state}): try again later",
                retry_after_seconds=5,
            )

    def leave_service(self) -> None:
        """Serve nothing any more: the engine has answered with another adapter than the requested one."""
        if self.state is not EngineState.DEAD:
            self.state = EngineState.WRONG

    def stop(self) -> None:
        """Accept nothing more; answers of an instance that left service still fail."""
        if self.state is not EngineState.WRONG:
            self.state = EngineState.STOPPING

    def check_answer(self) -> None:
        """Raise `GatewayError` 500 instead of an answer that may be another adapter's."""
        if self.state is EngineState.WRONG:
            raise GatewayError.wrong_adapter()

    async def watch(self) -> None:
        """Wait until the engine has started, warm it up, then check it until cancelled."""
        began = time.monotonic()
        while True:
            if await self._backend.is_healthy() and await self._generates():
                break
            await asyncio.sleep(STARTING_INTERVAL)
        await self._prepare()
        # Preparing may wait for the store for long; the engine has not been asked meanwhile.
        self._token_seen_at = time.monotonic()
        self._change(EngineState.STARTING, EngineState.READY)
        _log.info("the engine is %s after %.1f s", self.state.value, time.monotonic() - began)
        interval = min(RUNNING_INTERVAL, self._idle_seconds / 2, self._silence_seconds / 4)
        while True:
            await asyncio.sleep(interval)
            self._check_tokens()

    def _check_tokens(self) -> None:
        quiet = time.monotonic() - self._token_seen_at
        if quiet < self._idle_seconds:
            self._change(EngineState.SILENT, EngineState.READY)
            return
        # One at a time: more would only queue up in an engine that hangs.
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
        """Change from `old` to `new`; other states stay: DEAD, STOPPING and WRONG are final."""
        if self.state is old:
            if old is not EngineState.STARTING:
                _log.warning("the engine was %s and is %s", old.value, new.value)
            self.state = new
