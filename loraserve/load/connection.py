"""HTTP/1.1 connections of the generator: one request at a time on each, responses parsed by httptools."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import botocore.session
import httptools
from botocore.httpsession import get_cert_path

from loraserve.load.answer import Answer
from loraserve.load.result import LoadOutcome
from loraserve.load.timer import now

#: Seconds after which an idle connection is not used again: a server may close it at the same moment, and the
#: request would fail for no fault of the endpoint. uvicorn and hypercorn close after 5 s.
IDLE_S = 4.0
#: Seconds for a connection, TLS included; botocore's default for `connect_timeout` is as long.
CONNECT_S = 60.0


class Connection(asyncio.Protocol):
    """A connection that gives its answer the response, and then returns to the pool."""

    def __init__(self, pool: ConnectionPool) -> None:
        """Prepare the parser; asyncio connects."""
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Answer | None = None
        self._headers: dict[str, str] = {}
        self._arrived_s = 0.0
        self.idle_since_ns = now()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    @property
    def is_open(self) -> bool:
        """False once either side has closed it."""
        return not self._transport.is_closing()

    def send(self, wire: bytes, answer: Answer) -> None:
        """Send a request; no other one may be in flight."""
        self._answer = answer
        self._transport.write(wire)

    def abort(self) -> None:
        """Close the connection at once; its answer gets nothing more."""
        self._answer = None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Record the time of arrival, then parse."""
        self._arrived_s = self._pool.clock()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(LoadOutcome.CONNECTION, f"the response is not HTTP: {error}")
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Begin the answer."""
        if self._answer is not None:
            self._answer.head(self._parser.get_status_code(), self._headers)

    def on_body(self, data: bytes) -> None:
        """Pass a piece of the body on."""
        if self._answer is not None:
            self._answer.data(data, self._arrived_s)

    def on_message_complete(self) -> None:
        """Return the connection, then end the answer: the next request may be sent at once."""
        answer, self._answer, self._headers = self._answer, None, {}
        if self._parser.should_keep_alive():
            self.idle_since_ns = now()
            self._pool.release(self)
        else:
            self._transport.close()
        if answer is not None:
            answer.complete(self._arrived_s)

    def connection_lost(self, error: Exception | None) -> None:
        """End an answer that is not complete."""
        begun = bool(self._headers)
        reason = f": {error}" if error else ""
        if begun:
            self._fail(LoadOutcome.CUT, f"the connection ended in the middle of the answer{reason}")
        else:
            self._fail(LoadOutcome.CONNECTION, f"the connection ended before the answer{reason}")

    def _fail(self, outcome: LoadOutcome, message: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.fail(outcome, message, self._pool.clock())


class ConnectionPool:
    """Connections to one server; the one that was used last is used first."""

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        """`clock` returns the seconds of the run."""
        parts = urlsplit(url)
        self.clock = clock
        self._host = parts.hostname or ""
        self._tls = _tls() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._idle: list[Connection] = []

    async def open(self) -> Connection:
        """Open a connection; raises `OSError` (`TimeoutError`, `ssl.SSLError`)."""
        async with asyncio.timeout(CONNECT_S):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self), self._host, self._port, ssl=self._tls
            )
        return connection

    def idle(self) -> Connection | None:
        """Take a connection that is open and was used lately; None if there is none."""
        oldest = now() - int(IDLE_S * 1e9)
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since_ns >= oldest:
                return connection
            connection.abort()
        return None

    def release(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        self._idle.append(connection)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().abort()


def _tls() -> ssl.SSLContext:
    """Return a context that trusts what botocore does: AWS_CA_BUNDLE, the setting ca_bundle, its bundle."""
    bundle = (
        botocore.session.Session().get_config_variable("ca_bundle")
        or os.environ.get("REQUESTS_CA_BUNDLE")
        or get_cert_path(True)
    )
    return ssl.create_default_context(cafile=bundle)
