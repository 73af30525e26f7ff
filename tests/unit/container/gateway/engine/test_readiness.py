"""Readiness of an engine that starts, runs, becomes silent and recovers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from container.gateway.engine.readiness import EngineState, Readiness
from container.gateway.errors import GatewayError
from container.gateway.request_context import Usage
from container.gateway.schemas.openai import Json, Request
from tests.harness.probes import ready

#: A wait that has no end fails its test after 20 s.
pytestmark = pytest.mark.timeout(20, func_only=True)

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


@pytest.fixture
def engine() -> StubEngine:
    return StubEngine()


@contextlib.asynccontextmanager
async def watched(engine: StubEngine) -> AsyncIterator[Readiness]:
    """The readiness of `engine`, which is watched until the block ends."""
    # It uses two of a backend's methods.
    readiness = Readiness(engine, idle_seconds=IDLE, silence_seconds=SILENCE, prepare=ready)  # type: ignore[arg-type]
    watching = asyncio.create_task(readiness.watch())
    try:
        yield readiness
    finally:
        watching.cancel()


@pytest.fixture
async def readiness(engine: StubEngine) -> AsyncIterator[Readiness]:
    async with watched(engine) as readiness:
        yield readiness


async def becomes(readiness: Readiness, state: EngineState) -> None:
    while readiness.state is not state:  # noqa: ASYNC110 — it does not signal a change
        await asyncio.sleep(0.01)


async def test_it_is_ready_once_it_has_generated(engine: StubEngine) -> None:
    engine.go.clear()
    async with watched(engine) as readiness:
        await asyncio.sleep(0.05)
        assert readiness.state is EngineState.STARTING
        with pytest.raises(GatewayError) as caught:
            readiness.check()
        assert (caught.value.status, caught.value.error_type) == (503, "starting")
        engine.go.set()
        await becomes(readiness, EngineState.READY)
        readiness.check()


async def test_generation_that_hangs_is_found_though_health_check_is_fine(
    engine: StubEngine, readiness: Readiness
) -> None:
    await becomes(readiness, EngineState.READY)
    engine.go.clear()
    await becomes(readiness, EngineState.SILENT)
    with pytest.raises(GatewayError) as caught:
        readiness.check()
    assert (caught.value.status, caught.value.error_type) == (503, "engine_unresponsive")


async def test_an_engine_that_hangs_is_not_asked_by_many_at_once_and_is_ready_when_it_answers(
    engine: StubEngine, readiness: Readiness
) -> None:
    await becomes(readiness, EngineState.READY)
    engine.go.clear()
    asked = engine.asked
    await becomes(readiness, EngineState.SILENT)
    await asyncio.sleep(SILENCE)
    assert engine.asked <= asked + 2
    engine.go.set()
    await becomes(readiness, EngineState.READY)


async def test_an_engine_that_fails_is_lost_after_a_while_and_asked_again(
    engine: StubEngine, readiness: Readiness
) -> None:
    await becomes(readiness, EngineState.READY)
    engine.failure = GatewayError.generation()
    await becomes(readiness, EngineState.SILENT)
    engine.failure = None
    await becomes(readiness, EngineState.READY)


async def test_an_engine_that_gives_answers_is_not_asked(engine: StubEngine, readiness: Readiness) -> None:
    await becomes(readiness, EngineState.READY)
    asked = engine.asked
    for _ in range(40):
        readiness.saw_token()
        await asyncio.sleep(0.01)
    assert engine.asked == asked


@pytest.mark.parametrize("state", [EngineState.DEAD, EngineState.STOPPING])
async def test_what_has_died_or_is_being_stopped_stays_so(
    engine: StubEngine, readiness: Readiness, state: EngineState
) -> None:
    await becomes(readiness, EngineState.READY)
    readiness.state = state
    await asyncio.sleep(3 * IDLE)
    assert readiness.state is state


async def test_an_instance_that_left_service_stays_so_while_its_engine_generates(engine: StubEngine) -> None:
    async with watched(engine) as readiness:
        await becomes(readiness, EngineState.READY)
        readiness.check_answer()
        readiness.leave_service()
        readiness.saw_token()
        await asyncio.sleep(2 * IDLE)
        # Draining must not let the answers pass that are under way.
        readiness.stop()
        with pytest.raises(GatewayError) as caught:
            readiness.check()
        assert (caught.value.status, caught.value.error_type) == (503, "wrong_adapter")
        with pytest.raises(GatewayError) as caught:
            readiness.check_answer()
        assert caught.value.status == 500
