"""An HTTP listener of the test Hub: requests, responses, and faults in the transfer of a body."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Protocol

from tests.hub.repository import Faults, HubFile

_BLOCK_BYTES = 4 * 1024 * 1024
_TRUNCATED_FROM_BYTES = 1000


@dataclass
class HubRequest:
    """A request as its listener received it, and its response."""

    host: Literal["hub", "cdn"]
    route: Literal["api", "resolve", "cdn"]
    method: str
    path: str
    """As sent, without the query."""
    query: str
    headers: dict[str, str]
    """By lower-case name."""
    status: int = 0
    bytes_sent: int = 0
    """Of the body: at least as many as the client has received."""

    @property
    def token(self) -> str | None:
        """The bearer token."""
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None


@dataclass
class Reply:
    """A response: bytes, or a span of a file with perhaps one byte flipped."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | HubFile = b""
    span: range = range(0)
    flipped: int = -1

    def __post_init__(self) -> None:
        """All bytes, if the body is bytes."""
        if isinstance(self.body, bytes):
            self.span = range(len(self.body))

    def pieces(self, span: range) -> list[tuple[bytes | Path, range]]:
        """Return the bytes to send for a part of the span."""
        if isinstance(self.body, bytes):
            return [(self.body, span)]
        if self.flipped not in span:
            return [(self.body.content, span)]
        return [
            (self.body.content, range(span.start, self.flipped)),
            (bytes([self.body.byte(self.flipped) ^ 0xFF]), range(1)),
            (self.body.content, range(self.flipped + 1, span.stop)),
        ]


class Refusal(Exception):
    """An error response: of the Hub with its headers and JSON, or of the CDN with its XML."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """`answer` is the response to send."""
        super().__init__(status)
        self.answer = Reply(status, headers, body)

    @classmethod
    def of_hub(cls, status: int, code: str | None, message: str, **headers: str) -> Refusal:
        """Return an error of the Hub, some without a code; underscores in names of headers become hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"Content-Type": "application/json; charset=utf-8", "X-Error-Message": message}
        if code:
            sent["X-Error-Code"] = code
        return cls(status, sent, json.dumps({"error": message}).encode())

    @classmethod
    def of_storage(cls, status: int, code: str, message: str, **headers: str) -> Refusal:
        """Return an error of S3 and CloudFront."""
        body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, sent | {"Content-Type": "application/xml"}, body.encode())


class Application(Protocol):
    """The handler of a listener's requests."""

    closing: threading.Event
    faults: Faults

    def answer(self, request: HubRequest, form: bytes) -> Reply:
        """Return the response to a request; `form` is the body of a POST."""


class Listener(ThreadingHTTPServer):
    """A free port of loopback; a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, application: Application, host: Literal["hub", "cdn"], port: int = 0) -> None:
        """Bind the port; 0: a free one."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.application = application
        self.host = host
        self.port = int(self.server_address[1])
        self._connections: set[Any] = set()

    def server_bind(self) -> None:
        """Bind without the host name lookup that HTTPServer adds."""
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """A connection begins."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """A connection ends."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that disconnects."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Close the port, and the connections that are open."""
        self.shutdown()
        self.server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """The requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        form = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host = self.server.host
        route: Literal["api", "resolve", "cdn"] = "api" if path.startswith("/api/") else "resolve"
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = HubRequest(host, "cdn" if host == "cdn" else route, self.command, path, query, headers)
        answer = self.server.application.answer(request, form)
        request.status = answer.status
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.span)))
        self.end_headers()
        if self.command != "HEAD" and answer.span:
            self._send_body(request, answer)

    do_GET = do_HEAD = do_POST = _serve

    def _send_body(self, request: HubRequest, answer: Reply) -> None:
        faults = self.server.application.faults
        half = len(answer.span) // 2
        truncated = len(answer.span) > _TRUNCATED_FROM_BYTES and faults.due("truncate")
        stalled = faults.due("stall")
        for part in (answer.span[:half], answer.span[half:]) if truncated or stalled else (answer.span,):
            for content, span in answer.pieces(part):
                self._send_piece(request, content, span)
            if truncated:
                self.close_connection = True
                return
            if stalled and part.stop < answer.span.stop:
                self.server.application.closing.wait(faults.stall_seconds)

    def _send_piece(self, request: HubRequest, content: bytes | Path, span: range) -> None:
        """Send without a copy; what is sent is counted first, so that no client is ahead of the count."""
        if isinstance(content, bytes):
            view = memoryview(content)
            for start in range(span.start, span.stop, _BLOCK_BYTES):
                block = view[start : min(start + _BLOCK_BYTES, span.stop)]
                request.bytes_sent += len(block)
                self.connection.sendall(block)
            return
        with content.open("rb") as file:
            start = span.start
            while count := min(_BLOCK_BYTES, span.stop - start):
                request.bytes_sent += count
                sent = os.sendfile(self.connection.fileno(), file.fileno(), start, count)
                request.bytes_sent += sent - count
                start += sent
                if not sent:
                    raise EOFError(f"{content} has become shorter")

    def log_message(self, *_: Any) -> None:
        """`HubServer.requests` is the log."""
