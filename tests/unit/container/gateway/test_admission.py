"""Admission control in front of the engine."""

import asyncio
import contextlib

import pytest

from container.gateway.admission import MAX_RETRY_AFTER_SECONDS, Admission
from container.gateway.errors import GatewayError
from container.gateway.request_context import RequestContext

#: A wait that has no end fails its test after 10 s.
pytestmark = pytest.mark.timeout(10, func_only=True)


async def test_full_queue_refuses_at_once() -> None:
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


async def test_retry_after_grows_with_the_queue_and_has_an_end() -> None:
    async def retry_after(seconds: float) -> int:
        admission = Admission(running=1, queued=1, adapters=1)
        admission._mean_slot_seconds = seconds
        with admission.admit(), admission.admit(), pytest.raises(GatewayError) as caught, admission.admit():
            pass
        assert caught.value.retry_after_seconds is not None
        return caught.value.retry_after_seconds

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
