"""Server-sent events of an engine, cut anywhere, and lines that do not end."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from container.gateway import sse
from container.gateway.errors import GatewayError
from container.gateway.sse import read_events

TEXT = b': comment\n\ndata: {"n": 1}\n\ndata:{"n": 2}\r\n\r\nevent: x\ndata: {"n": "\xc3\xa4"}\n\ndata: [DONE]\n\n'


def events(chunks: Iterable[bytes]) -> list[dict[str, Any]]:
    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def read() -> list[dict[str, Any]]:
        return [event async for event in read_events(source())]

    return asyncio.run(read())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1000])
def test_events_may_be_cut_anywhere(size: int) -> None:
    chunks = [TEXT[start : start + size] for start in range(0, len(TEXT), size)]
    assert events(chunks) == [{"n": 1}, {"n": 2}, {"n": "ä"}]


@pytest.mark.parametrize("line", [b"data: [1]\n", b"data: {\n", b"data: 1\n"])
def test_a_line_that_is_no_object_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        events([line])


def test_a_line_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    taken = 0

    def endless() -> Iterable[bytes]:
        nonlocal taken
        yield b'data: {"n": 1}\n'
        while True:
            taken += 1
            yield b"x" * 100

    with pytest.raises(GatewayError) as caught:
        events(endless())
    assert (caught.value.status, caught.value.error_type) == (500, "answer_too_large")
    assert taken == 11


def test_many_events_in_one_chunk_are_no_long_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 20)
    assert len(events([b'data: {"n": 1}\n\n' * 1000])) == 1000
