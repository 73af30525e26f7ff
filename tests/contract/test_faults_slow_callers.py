"""Clients that open a stream and read it late or never: the engine has to wait, and nothing is lost."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.contract.concurrent_connections import request
from tests.contract.faulty_container import FaultyContainer, container
from tests.contract.faulty_vllm import FLOOD, FLOOD_BYTES
from tests.harness.waiting import wait_until

MIB = 1024 * 1024
#: Bytes that the system may keep for the caller; Linux doubles the number.
CALLER_BYTES = 64 * 1024
#: Events that would take 800 MB.
MANY = 200_000
#: What may be between an engine and a caller who does not read. The system's buffers are nearly all of it: by
#: Linux's defaults up to 4 MiB to send and 6 MiB to receive for each of the two connections.
MOST_BYTES = 24 * MIB
#: What the gateway's own memory may grow by: 320 KiB of a body, and the events of one chunk.
MOST_MEMORY = 16 * MIB


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyContainer]:
    with container(tmp_path_factory.mktemp("container")) as started:
        started.wait_until_ready()
        yield started


@contextlib.contextmanager
def caller(running: FaultyContainer, events: int) -> Iterator[socket.socket]:
    """Ask for a stream of so many events, and read nothing of it."""
    messages = [{"role": "user", "content": f"{FLOOD}{events}"}]
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CALLER_BYTES)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", running.client.port))
        connection.sendall(request("/invocations", {"messages": messages, "stream": True}))
        yield connection


def until_stalled(running: FaultyContainer) -> int:
    """Wait until the engine can send nothing for a second; the events that it has sent since it started."""
    before, now = -1, running.counts()["flooded"]
    deadline = time.monotonic() + 60
    while now != before or now == 0:
        assert time.monotonic() < deadline, "the engine is never made to wait"
        time.sleep(1)
        before, now = now, running.counts()["flooded"]
    return now


def test_a_caller_who_does_not_read_makes_the_engine_wait(running: FaultyContainer) -> None:
    memory, flooded = running.memory(), running.counts()["flooded"]
    with caller(running, MANY):
        wait_until(lambda: running.counts()["flooded"] > flooded, "the stream has begun")
        sent = (until_stalled(running) - flooded) * FLOOD_BYTES
        assert sent < MOST_BYTES
        assert running.memory() - memory < MOST_MEMORY
        running.pings().assert_prompt()
        assert running.client.generate().status == 200
    running.wait_until_empty()


def test_a_caller_who_reads_late_gets_every_event_in_order(running: FaultyContainer) -> None:
    events = 3 * MOST_BYTES // FLOOD_BYTES
    flooded = running.counts()["flooded"]
    with caller(running, events) as connection:
        wait_until(lambda: running.counts()["flooded"] > flooded, "the stream has begun")
        assert until_stalled(running) - flooded < events, "it waits in the middle"
        answer = bytearray()
        while not answer.endswith(b"\r\n0\r\n\r\n"):
            piece = connection.recv(MIB)
            assert piece, "the stream breaks off"
            answer += piece
    found = [json.loads(line[6:]) for line in unchunked(bytes(answer)).split(b"\n\n") if line[6:7] == b"{"]
    contents = [event["choices"][0]["delta"]["content"] for event in found]
    assert [int(content.split()[0]) for content in contents] == list(range(events))
    assert {len(content.split()[1]) for content in contents} == {FLOOD_BYTES}


def unchunked(answer: bytes) -> bytes:
    """The body of a response with `Transfer-Encoding: chunked`."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"chunked" in head
    body, place = bytearray(), 0
    while True:
        end = rest.index(b"\r\n", place)
        size = int(rest[place:end], 16)
        body += rest[end + 2 : end + 2 + size]
        place = end + 2 + size + 2
        if size == 0:
            return bytes(body)
