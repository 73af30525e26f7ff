"""A container for tests: its `/invocations` runs Python code, its other paths stream and wait.

Environment: IGNORE_SIGTERM, BIND (the address to listen on; 0.0.0.0), START (code to run first).
"""

import contextlib
import io
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Probe(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    #: Events that later requests report.
    events: list[str] = []  # noqa: RUF012 — shared on purpose
    sent = 0

    def do_GET(self) -> None:
        match self.path:
            case "/ping":
                self._answer(b"")
            case "/events":
                self._answer("\n".join(Probe.events).encode())
            case "/sent":
                self._answer(str(Probe.sent).encode())
            case "/stream":
                self._stream()
            case "/flood":
                self._flood()
            case "/silence":
                self._wait_for_disconnect()
            case "/break":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                self.close_connection = True
            case _:
                self.send_error(404)

    def do_POST(self) -> None:
        code = self.rfile.read(int(self.headers["Content-Length"]))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                exec(compile(code, "request", "exec"), {"Probe": Probe})  # noqa: S102
            except Exception as error:
                print(f"{type(error).__name__}: {error}")
        self._answer(printed.getvalue().encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        """Send a line every 0.2 s until the client disconnects, and note that it did."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        try:
            while True:
                self.wfile.write(f"{time.time()}\n".encode())
                time.sleep(0.2)
        except ConnectionError as error:
            Probe.events.append(f"stream: {type(error).__name__}")
        self.close_connection = True

    def _flood(self) -> None:
        """Send as fast as the client takes it, and count the bytes."""
        Probe.sent = 0
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                Probe.sent += self.connection.send(b"x" * 65536)
        self.close_connection = True

    def _wait_for_disconnect(self) -> None:
        """Answer nothing; note the end of the client's connection."""
        try:
            Probe.events.append(f"silence: {self.connection.recv(1)!r}")
        except ConnectionError as error:
            Probe.events.append(f"silence: {type(error).__name__}")
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """No line for each request."""


class ProbeServer(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


if __name__ == "__main__":
    exec(os.environ.get("START", ""))  # noqa: S102
    if "IGNORE_SIGTERM" not in os.environ:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ProbeServer((os.environ.get("BIND", "0.0.0.0"), 8080), Probe).serve_forever()  # noqa: S104
