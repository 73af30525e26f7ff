"""One HTTP connection of the load generator: a request at a time, its answer by llhttp's callbacks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

from benchmarks.timer import now

#: The time that the null engine wrote into an event, in vLLM's JSON and in the gateway's.
_STAMP = re.compile(rb'"text": ?"(\d+)"')


@dataclass
class Sent:
    """A request, and what came of it; times in nanoseconds."""

    number: int
    since: int
    timed: bool
    """Whether the answer is a stream of the null engine's events."""
    status: int = 0
    """0 if the connection broke."""
    body: bytes = b""
    ended: int = 0
    delays: list[int] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """`answered` is called with the connection and the request when the answer is whole, or lost."""

    def __init__(self, answered: Callable[[Connection, Sent], None]) -> None:
        """Not connected yet."""
        self._answered = answered
        self._parser = httptools.HttpResponseParser(self)
        self._sent: Sent | None = None
        self._arrived = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def send(self, sent: Sent, wire: bytes) -> None:
        """Send the request; there must be none under way."""
        self._sent = sent
        self._transport.write(wire)

    def data_received(self, data: bytes) -> None:
        """Note the time first."""
        self._arrived = now()
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        """The status is known."""
        assert self._sent is not None
        self._sent.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """A piece of the body; events come whole, one or several in a piece."""
        assert self._sent is not None
        self._sent.body += data
        if self._sent.timed:
            self._sent.delays += [
                self._arrived - int(found[1])
                for event in data.split(b"\n\n")
                if (found := _STAMP.search(event)) is not None
            ]

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self._end()

    def connection_lost(self, error: Exception | None) -> None:
        """A request without an answer has status 0."""
        if self._sent is not None:
            self._sent.status = 0
            self._arrived = now()
            self._end()

    def _end(self) -> None:
        sent, self._sent = self._sent, None
        assert sent is not None
        sent.ended = self._arrived
        self._answered(self, sent)
