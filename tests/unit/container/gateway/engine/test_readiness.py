"""What /ping says of an engine that starts, runs, falls silent and comes back."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from container.gateway.engine.backend import Json, Request
from container.gateway.engine.readiness import EngineState, Readiness
from container.gateway.errors import GatewayError
from container.gateway.request_context import Usage

IDLE, SILENCE = 0.1, 0.3


class StubEngine:
    """Generates while `go` is set; else it hangs, and its health check may still be fine."""

    def __init__(self) -> None:
        self.healthy = True
        self.failure: GatewayError | None = None
        self.asked = 0
        self.go = asyncio.Event()
        self.go.set()

    async def generate(self, request: Request, adapter: str | None, usage: Usage) -> Json:
        self.asked += 1
        await self.go.wait()
        if self.failure:
            raise self.failure
        return {}

    async def is_healthy(self) -> bool:
        return self.healthy


def run(
    scenario: Callable[[StubEngine, Readiness], Coroutine[Any, Any, None]], *, going: bool = True
) -> None:
    async def main() -> None:
        engine = StubEngine()
        if not going:
            engine.go.clear()
        # It uses two of a backend's methods.
        readiness = Readiness(engine, idle_seconds=IDLE, silence_seconds=SILENCE)  # type: ignore[arg-type]
        watching = asyncio.create_task(readiness.watch())
        try:
            await asyncio.wait_for(scenario(engine, readiness), 20)
        finally:
            watching.cancel()

    asyncio.run(main())


async def becomes(readiness: Readiness, state: EngineState) -> None:
    while readiness.state is not state:  # noqa: ASYNC110 — nothing in it tells of a change
        await asyncio.sleep(0.01)


def test_it_is_ready_once_it_has_generated() -> None:
    async def scenario(engine: StubEngine, readiness: Readiness) -> None:
        await asyncio.sleep(0.05)
        assert readiness.state is EngineState.STARTING
        with pytest.raises(GatewayError) as caught:
            readiness.check()
        assert (caught.value.status, caught.value.error_type) == (503, "starting")
        engine.go.set()
        await becomes(readiness, EngineState.READY)
        readiness.check()

    run(scenario, going=False)


def test_generation_that_hangs_is_found_though_the_health_check_is_fine() -> None:
    async def scenario(engine: StubEngine, readiness: Readiness) -> None:
        await becomes(readiness, EngineState.READY)
        engine.go.clear()
        await becomes(readiness, EngineState.SILENT)
        with pytest.raises(GatewayError) as caught:
            readiness.check()
        assert (caught.value.status, caught.value.error_type) == (503, "engine_unresponsive")

    run(scenario)


def test_an_engine_that_hangs_is_not_asked_by_many_at_once_and_is_ready_when_it_answers() -> None:
    async def scenario(engine: StubEngine, readiness: Readiness) -> None:
        await becomes(readiness, EngineState.READY)
        engine.go.clear()
        asked = engine.asked
        await becomes(readiness, EngineState.SILENT)
        await asyncio.sleep(SILENCE)
        assert engine.asked <= asked + 2
        engine.go.set()
        await becomes(readiness, EngineState.READY)

    run(scenario)


def test_an_engine_that_fails_is_lost_after_a_while_and_asked_again() -> None:
    async def scenario(engine: StubEngine, readiness: Readiness) -> None:
        await becomes(readiness, EngineState.READY)
        engine.failure = GatewayError.generation()
        await becomes(readiness, EngineState.SILENT)
        engine.failure = None
        await becomes(readiness, EngineState.READY)

    run(scenario)


def test_an_engine_that_gives_answers_is_not_asked() -> None:
    async def scenario(engine: StubEngine, readiness: Readiness) -> None:
        await becomes(readiness, EngineState.READY)
        asked = engine.asked
        for _ in range(40):
            readiness.heard()
            await asyncio.sleep(0.01)
        assert engine.asked == asked

    run(scenario)


@pytest.mark.parametrize("state", [EngineState.DEAD, EngineState.STOPPING])
def test_what_has_died_or_is_being_stopped_stays_so(state: EngineState) -> None:
    async def scenario(engine: StubEngine, readiness: Readiness) -> None:
        await becomes(readiness, EngineState.READY)
        readiness.state = state
        await asyncio.sleep(3 * IDLE)
        assert readiness.state is state

    run(scenario)
