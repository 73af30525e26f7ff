"""Engine tasks when the client disconnects."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from container.gateway.api.engine_task import EngineTask
from container.gateway.errors import GatewayError
from container.gateway.request_context import Phase, RequestContext

#: A wait that has no end fails its test after 10 s.
pytestmark = pytest.mark.timeout(10, func_only=True)


class Engine:
    """Yields events until `go` is set; records its end."""

    def __init__(self, events: int = 3, failure: Exception | None = None) -> None:
        self.events = events
        self.failure = failure
        self.given = 0
        self.ended = "running"
        self.go = asyncio.Event()

    async def answer(self) -> dict[str, Any]:
        async with self._noting():
            await self.go.wait()
            if self.failure:
                raise self.failure
            return {"answer": 1}

    async def stream(self) -> AsyncGenerator[bytes]:
        async with self._noting():
            for number in range(self.events):
                self.given += 1
                yield b"%d" % number
                await asyncio.sleep(0)
            await self.go.wait()
            if self.failure:
                raise self.failure

    @contextlib.asynccontextmanager
    async def _noting(self) -> AsyncGenerator[None]:
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self.ended = "cancelled"
            raise
        except BaseException:
            self.ended = "failed"
            raise
        else:
            self.ended = "finished"


def at_engine() -> RequestContext:
    context = RequestContext("/")
    context.enter(Phase.ENGINE)
    return context


async def test_an_answer_is_given_and_so_is_what_went_wrong() -> None:
    engine = Engine()
    engine.go.set()
    assert await EngineTask(engine.answer(), at_engine()).result() == {"answer": 1}
    engine.failure = GatewayError.generation()
    with pytest.raises(GatewayError):
        await EngineTask(engine.answer(), at_engine()).result()


@pytest.mark.parametrize(
    ("phase", "ended"),
    [(Phase.QUEUE, "cancelled"), (Phase.LOADING, "cancelled"), (Phase.ENGINE, "finished")],
)
async def test_task_ends_with_its_client_unless_the_engine_must_be_read_to_its_end(
    phase: Phase, ended: str
) -> None:
    engine, context = Engine(), RequestContext("/")
    context.enter(phase)
    caller = asyncio.create_task(EngineTask(engine.answer(), context).result())
    await asyncio.sleep(0.01)
    caller.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await caller
    engine.go.set()
    await asyncio.sleep(0.01)
    assert engine.ended == ended


@pytest.mark.parametrize("events", [3, 500])
async def test_a_stream_that_is_left_is_read_to_its_end(events: int) -> None:
    engine = Engine(events)
    source = EngineTask.events(engine.stream(), at_engine())
    async with contextlib.aclosing(source) as stream:
        assert await anext(stream) == b"0"
        # A slow client makes the engine wait.
        await asyncio.sleep(0.01)
        assert engine.given < 100
    engine.go.set()
    await asyncio.sleep(0.1)
    assert engine.ended == "finished"


async def test_a_stream_gives_all_events_and_then_what_went_wrong() -> None:
    engine = Engine(200, GatewayError.incomplete())
    engine.go.set()
    found = []
    with pytest.raises(GatewayError):
        async for event in EngineTask.events(engine.stream(), at_engine()):
            found.append(int(event))
    assert found == list(range(200))
    assert engine.ended == "failed"
