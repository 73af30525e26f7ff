"""One HTTP connection of the load generator: one request at a time, the response parsed by httptools."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

from benchmarks.timer import now

#: The time stamp that the null engine writes into an event, in vLLM's JSON and in the gateway's.
_STAMP = re.compile(rb'"text": ?"(\d+)"')


@dataclass
class RequestRecord:
    """A request and its result; times in nanoseconds of `timer.now`."""

    number: int
    since: int
    """Start of the latency: the time at which it was sent, or due."""
    timed: bool
    """True if the response is a stream of the null engine's events."""
    status: int = 0
    """HTTP status; 0 if the connection broke."""
    body: bytes = b""
    ended: int = 0
    delays: list[int] = field(default_factory=list)
    """Time from the null engine to this process, of each event."""


class ClientConnection(asyncio.Protocol):
    """A connection that calls `answered` when the response is complete or the connection is lost."""

    def __init__(self, answered: Callable[[ClientConnection, RequestRecord], None]) -> None:
        """Prepare the parser; asyncio connects."""
        self._answered = answered
        self._parser = httptools.HttpResponseParser(self)
        self._sent: RequestRecord | None = None
        self._arrived = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def send(self, sent: RequestRecord, wire: bytes) -> None:
        """Send the request; no other one may be in flight."""
        self._sent = sent
        self._transport.write(wire)

    def data_received(self, data: bytes) -> None:
        """Record the time of arrival, then parse."""
        self._arrived = now()
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        """Record the status."""
        assert self._sent is not None
        self._sent.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """Record a chunk of the body and the delay of each event: a chunk has one or more whole events."""
        assert self._sent is not None
        self._sent.body += data
        if self._sent.timed:
            self._sent.delays += [
                self._arrived - int(found[1])
                for event in data.split(b"\n\n")
                if (found := _STAMP.search(event)) is not None
            ]

    def on_message_complete(self) -> None:
        """Report the response."""
        self._end()

    def connection_lost(self, error: Exception | None) -> None:
        """Report a request in flight with status 0."""
        if self._sent is not None:
            self._sent.status = 0
            self._arrived = now()
            self._end()

    def _end(self) -> None:
        sent, self._sent = self._sent, None
        assert sent is not None
        sent.ended = self._arrived
        self._answered(self, sent)
