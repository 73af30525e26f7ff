"""Clients that disconnect, many clients at once, and clients that only hold a connection."""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.store.layout import RegistryEntry, registry_key
from tests.contract.concurrent_connections import connections, open_files, request
from tests.contract.faulty_container import FaultyContainer, container
from tests.contract.faulty_s3 import FaultyS3
from tests.contract.faulty_vllm import ENDLESS, HEAVY, LOAD_SECONDS
from tests.harness.waiting import wait_until

TURNS, QUEUED = 4, 4
IDLE = 2000
#: What most systems let a process open, unless it asks for more.
FILES = 1024
#: Files that are open one moment and not the next: connections of callers who have their answer.
SPARE = 32
#: The container's own limits where none are set.
MANY_TURNS, MANY_QUEUED = 128, 128
NAMES = (f"{HEAVY}-1", f"{HEAVY}-2")


def endless(stream: bool = False, **parameters: object) -> bytes:
    return request("/invocations", {"inputs": ENDLESS, "parameters": parameters, "stream": stream})


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    entries = {
        registry_key(name): RegistryEntry(name, "0" * 16, "0" * 64, 8, 1, "tiny-mistral", "here").to_json()
        for name in NAMES
    }
    with FaultyS3(entries).serving() as url:
        yield url


@pytest.fixture(scope="module")
def running(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyContainer]:
    """A container with few engine and queue slots."""
    limits = {"MAX_CONCURRENT_REQUESTS": TURNS, "MAX_QUEUED_REQUESTS": QUEUED}
    with container(tmp_path_factory.mktemp("container"), limits, s3=store) as started:
        started.wait_until_ready()
        yield started


@pytest.fixture(scope="module")
def roomy(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyContainer]:
    """A container with the default limits, and the usual limit of open files."""
    with contextlib.ExitStack() as stack:
        with open_files(FILES):
            started = stack.enter_context(container(tmp_path_factory.mktemp("roomy"), s3=store))
        started.wait_until_ready()
        yield started


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_who_hangs_up_ends_the_engines_work_for_him(running: FaultyContainer, stream: bool) -> None:
    abandoned = running.counts()["abandoned"]
    with connections(running.client.port) as callers:
        callers.open(TURNS, endless(stream))
        running.wait_until_running(TURNS)
        if stream:
            assert callers.statuses() == [200] * TURNS, "the streams have begun"
        callers.close()
        running.wait_until_running(0)
    assert running.counts()["abandoned"] == abandoned + TURNS
    running.wait_until_empty()
    assert running.client.generate().status == 200


def test_who_hangs_up_while_he_waits_gives_his_place_back(running: FaultyContainer) -> None:
    files = running.files()
    for _ in range(3):
        with connections(running.client.port) as callers:
            callers.open(TURNS + QUEUED, endless())
            wait_until(lambda: running.inside() == TURNS + QUEUED, "all places are taken")
            assert running.client.generate().error[:2] == (429, "overloaded")
        running.wait_until_empty()
        running.wait_until_running(0)
    assert running.client.generate().status == 200
    wait_until(lambda: running.files() <= files + SPARE, "no connection is left open")


def test_who_hangs_up_while_an_adapter_is_loaded_leaves_it_to_the_next(running: FaultyContainer) -> None:
    began = time.monotonic()
    with running.client.hanging_up(path="/generate", adapter_id=NAMES[0]):
        wait_until(lambda: running.inside() == 1, "the request waits for its adapter")
    running.wait_until_empty()
    assert time.monotonic() - began < LOAD_SECONDS, "no request waits for the load"
    assert running.client.generate("Hi", adapter_id=NAMES[0]).status == 200
    assert "never retrieved" not in running.log


def test_two_thousand_idle_connections_delay_no_request(roomy: FaultyContainer) -> None:
    files = roomy.files()
    with open_files(2 * IDLE), connections(roomy.client.port) as idle:
        idle.open(IDLE // 2)
        idle.open(IDLE // 2, b"POST /invocations HTTP/1.1\r\nHost: test\r\n")
        wait_until(lambda: roomy.files() >= files + IDLE - SPARE, "all are accepted")
        roomy.pings().assert_prompt()
        with ThreadPoolExecutor(8) as callers:
            answers = list(callers.map(lambda _: roomy.client.generate(), range(100)))
        assert {answer.status for answer in answers} == {200}
    wait_until(lambda: roomy.files() <= files + SPARE, "their connections are closed")


def test_ping_is_prompt_while_every_place_is_taken_and_more_are_refused(roomy: FaultyContainer) -> None:
    with connections(roomy.client.port) as callers, ThreadPoolExecutor(1) as others:
        callers.open(MANY_TURNS, endless(stream=True))
        callers.open(MANY_QUEUED, endless())
        roomy.wait_until_running(MANY_TURNS)
        wait_until(lambda: roomy.inside() == MANY_TURNS + MANY_QUEUED, "all places are taken")
        refused = others.submit(lambda: [roomy.client.generate() for _ in range(100)])
        roomy.pings().assert_prompt()
        assert {answer.error[:2] for answer in refused.result()} == {(429, "overloaded")}
    roomy.wait_until_empty()
    roomy.wait_until_running(0)


def test_ping_and_loaded_adapters_are_prompt_while_another_one_is_loaded(roomy: FaultyContainer) -> None:
    with ThreadPoolExecutor(10) as callers:
        began = time.monotonic()
        waiting = [callers.submit(roomy.client.generate, "Hi", adapter_id=NAMES[1]) for _ in range(10)]
        wait_until(lambda: roomy.inside() == 10, "ten wait for one adapter")
        assert roomy.client.generate().status == 200
        roomy.pings(20).assert_prompt()
        assert time.monotonic() - began < LOAD_SECONDS, "too slow to say anything about a load"
        assert {call.result().status for call in waiting} == {200}
