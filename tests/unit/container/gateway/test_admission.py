"""Admission control in front of the engine."""

import asyncio
import contextlib

import pytest

from adapters.limits import Limits
from container.gateway.adapters.registry import Adapter
from container.gateway.admission import MAX_RETRY_AFTER_SECONDS, Admission
from container.gateway.errors import GatewayError
from container.gateway.request_context import RequestContext

#: A wait that has no end fails its test after 10 s.
pytestmark = pytest.mark.timeout(10, func_only=True)


async def test_too_many_arriving_requests_are_refused_at_once() -> None:
    admission = Admission(running=2, queued=1, adapters=2)
    with contextlib.ExitStack() as admitted:
        for _ in range(3):
            admitted.enter_context(admission.admit())
        with pytest.raises(GatewayError) as caught, admission.admit():
            pass
        assert (caught.value.status, caught.value.error_type) == (429, "overloaded")
        assert admission.in_flight == 3
    with admission.admit():
        assert admission.in_flight == 1


async def test_a_full_queue_refuses_the_newest_request_of_the_flow_that_fills_it() -> None:
    busy = Busy(queued=2)
    many = [await busy.asks(Adapter("many", "0" * 16, 1)) for _ in range(2)]
    few = await busy.asks(Adapter("few", "0" * 16, 1))
    assert [each.done() for each in (*many, few)] == [False, True, False]
    assert _error(many[1]) == ("overloaded", "Model is overloaded: try again later")
    refused = await busy.asks(Adapter("many", "0" * 16, 1))
    assert _error(refused)[0] == "overloaded", "then both have one, and the newcomer's flow has most"
    assert busy.admission.waiting.value == 2
    await busy.ends()
    assert [each.exception() for each in (many[0], few)] == [None, None]


async def test_a_429_says_whose_limit_keeps_the_queue_full() -> None:
    limits = Limits(max_concurrent=1)
    for adapter, expected in (
        (Adapter("a", "0" * 16, 1, limits=limits), ("adapter_limit", "Adapter 'a' is at its limit of 1 req")),
        (
            Adapter("b", "0" * 16, 1, tenant="t", tenant_limits=limits),
            ("tenant_limit", "Tenant 't' is at its limit of 1 req"),
        ),
        (
            Adapter("c", "0" * 16, 1, tenant="t", limits=limits),
            ("adapter_limit", "Adapter 'c' is at its limit of 1 req"),
        ),
    ):
        busy = Busy(running=3, queued=1)
        tasks = [await busy.asks(adapter) for _ in range(3)]
        assert busy.admission.in_use.value == 2, "one of the base model and one of the adapter"
        error_type, message = _error(tasks[2])
        assert (error_type, message[: len(expected[1])]) == expected
        await busy.ends()


async def test_tokens_per_minute_of_adapter_and_tenant() -> None:
    admission = Admission(running=1, queued=1, adapters=1)
    own = Adapter("a", "0" * 16, 1, limits=Limits(tokens_per_minute=100))
    shared = Adapter("b", "0" * 16, 1, tenant="t", tenant_limits=Limits(tokens_per_minute=60))
    for adapter, expected in ((own, "adapter_limit"), (shared, "tenant_limit")):
        asked = RequestContext("/", tokens=50)
        with admission.within_limits(asked, adapter):
            asked.used_tokens = 50
        with (
            pytest.raises(GatewayError) as caught,
            admission.within_limits(RequestContext("/", tokens=60), adapter),
        ):
            pass
        assert (caught.value.status, caught.value.error_type) == (429, expected)
        assert "tokens per minute" in caught.value.message
        assert caught.value.retry_after_seconds in (6, 50)


async def test_tokens_that_were_not_used_can_be_used_by_the_next_request() -> None:
    admission = Admission(running=1, queued=1, adapters=1)
    adapter = Adapter("a", "0" * 16, 1, limits=Limits(tokens_per_minute=100))
    for _ in range(5):
        context = RequestContext("/", tokens=100)
        with admission.within_limits(context, adapter):
            async with admission.engine_slot(context, adapter):
                context.usage.prompt_tokens = 1
        assert context.used_tokens == 1
        with admission.within_limits(RequestContext("/", tokens=95), adapter):
            pass
        admission._buckets.clear()


async def test_a_request_cancelled_at_the_engine_has_used_what_it_asked_for() -> None:
    busy = Busy(running=2)
    context = RequestContext("/", tokens=100)
    running = asyncio.create_task(busy.hold(context, None))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait((running,))
    assert context.used_tokens == 100
    await busy.ends()


async def test_one_adapter_leaves_room_for_others_that_load() -> None:
    admission = Admission(running=2, queued=6, adapters=2)
    with contextlib.ExitStack() as loading:
        for _ in range(4):
            loading.enter_context(admission.admit())
            loading.enter_context(admission.waiting_for_load(RequestContext("/", adapter="many")))
        with (
            pytest.raises(GatewayError, match="overloaded"),
            admission.admit(),
            admission.waiting_for_load(RequestContext("/", adapter="many")),
        ):
            pass
        with admission.admit(), admission.waiting_for_load(RequestContext("/", adapter="few")):
            pass


async def test_retry_after_grows_with_the_queue_and_has_an_end() -> None:
    async def retry_after(seconds: float) -> int:
        busy = Busy(queued=1)
        busy.admission._mean_slot_seconds = seconds
        tasks = [await busy.asks(None) for _ in range(2)]
        error = tasks[1].exception()
        await busy.ends()
        assert isinstance(error, GatewayError)
        assert error.retry_after_seconds is not None
        return error.retry_after_seconds

    assert await retry_after(0.01) == 1
    assert await retry_after(4.0) == 8
    assert await retry_after(1000.0) == MAX_RETRY_AFTER_SECONDS


async def test_engine_slots_are_given_in_order_of_arrival_and_bounded() -> None:
    admission = Admission(running=2, queued=10, adapters=2)
    order: list[int] = []
    at_once = most = 0

    async def one(number: int) -> None:
        nonlocal at_once, most
        async with admission.engine_slot(RequestContext("/"), None):
            order.append(number)
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.001)
            at_once -= 1

    await asyncio.gather(*(one(number) for number in range(8)))
    assert order == list(range(8))
    assert most == 2


async def test_a_request_cancelled_in_the_queue_takes_no_slot() -> None:
    admission = Admission(running=1, queued=10, adapters=1)
    context = RequestContext("/")
    async with admission.engine_slot(RequestContext("/"), None):
        leaves = asyncio.create_task(_hold_slot(admission, context))
        await asyncio.sleep(0)
        assert context.phase.name == "QUEUE"
        leaves.cancel()
    await _hold_slot(admission, context)
    assert context.phase.name == "ENGINE"


async def test_a_request_that_waits_for_a_load_does_not_count_in_the_queue() -> None:
    admission = Admission(running=1, queued=0, adapters=1)
    with admission.admit(), admission.waiting_for_load(RequestContext("/")):
        with admission.admit():
            assert admission.in_flight == 2
        with (
            pytest.raises(GatewayError) as caught,
            admission.admit(),
            admission.waiting_for_load(RequestContext("/")),
        ):
            pass
        assert caught.value.status == 429, "waiting loads are bounded, too"
    assert admission.in_flight == 0


async def test_a_cancelled_request_leaves_its_place_to_the_next_one() -> None:
    busy = Busy(queued=9)
    tasks = [await busy.asks(None) for _ in range(3)]
    busy.go.set()
    tasks[0].cancel()
    # Cancelled in the same turn of the event loop in which it would get the place.
    await asyncio.sleep(0)
    tasks[1].cancel()
    await busy.ends()
    assert [each.cancelled() for each in tasks] == [True, True, False]
    assert (busy.admission.in_use.value, busy.admission.waiting.value) == (0, 0)
    assert (busy.admission._queue.in_flight, busy.admission._queue.waiting) == (0, 0)


async def test_waiting_until_no_request_is_in_flight() -> None:
    admission = Admission(running=1, queued=1, adapters=1)
    await admission.wait_until_empty()
    with admission.admit():
        waiting = asyncio.create_task(admission.wait_until_empty())
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting


async def _hold_slot(admission: Admission, context: RequestContext) -> None:
    async with admission.engine_slot(context, None):
        pass


class Busy:
    """An engine with a request of the base model; requests hold their slot until `ends`."""

    def __init__(self, *, running: int = 1, queued: int = 1) -> None:
        self.admission = Admission(running=running, queued=queued, adapters=running)
        self.go = asyncio.Event()
        self.tasks = [asyncio.create_task(self.hold(RequestContext("/"), None))]

    async def asks(self, adapter: Adapter | None) -> asyncio.Task[None]:
        task = asyncio.create_task(self.hold(RequestContext("/"), adapter))
        self.tasks.append(task)
        for _ in range(3):
            await asyncio.sleep(0)
        return task

    async def ends(self) -> None:
        self.go.set()
        await asyncio.wait(self.tasks)

    async def hold(self, context: RequestContext, adapter: Adapter | None) -> None:
        async with self.admission.engine_slot(context, adapter):
            await self.go.wait()


def _error(task: asyncio.Task[None]) -> tuple[str, str]:
    error = task.exception()
    assert isinstance(error, GatewayError)
    assert error.status == 429
    return error.error_type, error.message
