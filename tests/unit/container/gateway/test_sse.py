"""Server-sent events of an engine, cut anywhere, and lines that do not end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

import pytest

from container.gateway import sse
from container.gateway.errors import GatewayError
from container.gateway.sse import encode_event, encoded_event, read_event, translated

TEXT = b': comment\n\ndata: {"n": 1}\n\ndata:{"n": 2}\r\n\r\nevent: x\ndata: {"n": "\xc3\xa4"}\n\ndata: [DONE]\n\n'


def batches(
    chunks: Iterable[bytes], translate: Callable[[bytes], bytes] = lambda data: encode_event(read_event(data))
) -> list[bytes]:
    """Return what is yielded, and then the type of the error that ends it."""

    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def read() -> list[bytes]:
        found = []
        try:
            async for each in translated(source(), translate):
                found.append(each)
        except GatewayError as error:
            found.append(error.error_type.encode())
        return found

    return asyncio.run(read())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1000])
def test_events_may_be_cut_anywhere(size: int) -> None:
    chunks = [TEXT[start : start + size] for start in range(0, len(TEXT), size)]
    expected = b'data: {"n":1}\n\ndata: {"n":2}\n\ndata: {"n":"\xc3\xa4"}\n\n'
    assert b"".join(batches(chunks)) == expected


def test_events_that_arrive_together_are_yielded_together() -> None:
    chunks = [b"data: 1\n\ndata: 2\n\nda", b"ta: 3\n\n", b": nothing\n\n"]
    assert batches(chunks, encoded_event) == [b"data: 1\n\ndata: 2\n\n", b"data: 3\n\n"]


@pytest.mark.parametrize("line", [b"data: [1]\n", b"data: {\n", b"data: 1\n"])
def test_a_line_that_is_no_object_is_refused_after_the_events_before_it(line: bytes) -> None:
    good = b'data: {"n":1}\n\n'
    assert batches([line]) == [b"incomplete_generation"]
    assert batches([good + line + good]) == [good, b"incomplete_generation"]


def test_a_line_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    taken = 0

    def endless() -> Iterable[bytes]:
        nonlocal taken
        yield b'data: {"n":1}\n'
        while True:
            taken += 1
            yield b"x" * 100

    assert batches(endless()) == [b'data: {"n":1}\n\n', b"answer_too_large"]
    assert taken == 11


def test_many_events_in_one_chunk_are_no_long_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 20)
    assert batches([b'data: {"n":1}\n\n' * 1000]) == [b'data: {"n":1}\n\n' * 1000]
