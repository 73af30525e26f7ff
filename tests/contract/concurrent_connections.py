"""Many concurrent connections without a thread each: they are held open, and not read."""

import contextlib
import json
import resource
import socket
from collections.abc import Iterator
from typing import Any


def request(path: str, body: dict[str, Any]) -> bytes:
    """Return a request's bytes."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


class Connections:
    """Connections to one local port, which are closed together."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sockets: list[socket.socket] = []

    def open(self, count: int, sends: bytes = b"") -> None:
        """Open so many more, each of which sends this and waits."""
        for _ in range(count):
            opened = socket.create_connection(("127.0.0.1", self._port), timeout=30)
            self._sockets.append(opened)
            opened.sendall(sends)

    def close(self) -> None:
        """Close all connections."""
        for each in self._sockets:
            each.close()
        self._sockets.clear()

    def statuses(self) -> list[int]:
        """Return the status of the first answer on each, in the order in which they were opened."""
        return [int(each.recv(65536).split(b" ", 2)[1]) for each in self._sockets]


@contextlib.contextmanager
def connections(port: int) -> Iterator[Connections]:
    """Yield an empty set of connections; the open ones are closed at the end of the block."""
    found = Connections(port)
    try:
        yield found
    finally:
        found.close()


@contextlib.contextmanager
def open_files(limit: int) -> Iterator[None]:
    """Set the limit of open files of this process, and of those that are started in the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
