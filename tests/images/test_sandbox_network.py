"""A container in a sandbox is reached on its port 8080, and reaches AWS and its credentials alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.harness.sandbox import SandboxedContainer
from tests.harness.waiting import wait_until
from tests.images.small_image import probe_container, python_container

CREDENTIALS = {
    "AccessKeyId": "ASIATHEROLES",
    "SecretAccessKey": "secret",
    "Token": "token",
    "Expiration": "2099-01-01T00:00:00Z",
}


class Aws(BaseHTTPRequestHandler):
    """The laptop cloud's part of these tests: it answers with the path, or with credentials."""

    def do_GET(self) -> None:
        body = json.dumps(CREDENTIALS if self.path.startswith("/v2/") else self.path).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """No line for each request."""


@contextlib.contextmanager
def served() -> Iterator[int]:
    """Serve `Aws` on a port of 127.0.0.1."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Aws)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxedContainer]:
    with (
        served() as aws,
        probe_container(
            tmp_path_factory.mktemp("network"),
            aws=aws,
            environment={"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/the-token"},
            mounts={"/opt/packages": Path(boto3.__file__).parents[1]},
        ) as running,
    ):
        yield running


def connect(address: str, port: int) -> str:
    """Code that connects within two seconds, and prints the error or `connected`."""
    return f"import socket\nsocket.create_connection(({address!r}, {port}), timeout=2).close()\nprint('connected')"


def connection(container: SandboxedContainer, receive_buffer: int = 0) -> socket.socket:
    """Connect to the container from outside."""
    made = socket.socket()
    if receive_buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    made.settimeout(10)
    made.connect(("127.0.0.1", container.client.port))
    return made


def test_it_reaches_aws_where_the_host_does(container: SandboxedContainer) -> None:
    said = container.run(
        f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{container.spec.endpoint_port}/a/b').read())"
    )
    assert said == "b'\"/a/b\"'\n"


def test_an_sdk_finds_the_credentials_at_their_address(container: SandboxedContainer) -> None:
    assert (
        container.run(
            "import sys; sys.path.append('/opt/packages'); import botocore.session\n"
            "found = botocore.session.Session().get_credentials()\n"
            "print(found.method, found.get_frozen_credentials().access_key)"
        )
        == "container-role ASIATHEROLES\n"
    )


def test_it_reaches_nothing_else(container: SandboxedContainer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("", 0)) as everywhere:
        for listening in (other, everywhere):
            port = listening.getsockname()[1]
            assert container.run(connect("127.0.0.1", port)).startswith("ConnectionRefusedError")
    # The host's other port for the container, the metadata of EC2, a resolver, the internet, a private network.
    assert container.run(connect("127.0.0.1", container.client.port)).startswith("ConnectionRefusedError")
    for address in ("169.254.169.254", "169.254.169.253", "198.51.100.1", "10.0.0.1"):
        assert container.run(connect(address, 80)) == "OSError: [Errno 101] Network is unreachable\n"
    assert container.run("import socket; print([name for _, name in socket.if_nameindex()])") == "['lo']\n"
    began = time.monotonic()
    assert container.run("import socket; socket.gethostbyname('huggingface.co')").startswith("gaierror")
    assert time.monotonic() - began < 2


def test_a_server_on_the_loopback_address_alone_is_not_reached(tmp_path: Path) -> None:
    container = probe_container(tmp_path, environment={"BIND": "127.0.0.1"}).start()
    try:
        with pytest.raises(AssertionError, match="not the case"):
            container.wait_healthy(seconds=2)
    finally:
        container.kill()


def test_two_containers_have_the_same_port(container: SandboxedContainer, tmp_path: Path) -> None:
    with probe_container(tmp_path, environment={"NAME": "second"}) as second:
        name = "import os; print(os.environ.get('NAME'))"
        assert [each.run(name) for each in (container, second)] == ["None\n", "second\n"]


def test_many_connections_at_once(container: SandboxedContainer) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connection(container)) for _ in range(100)]
        assert container.client.get("/ping").status == 200
        for each in idle:
            each.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
        assert all(each.recv(12) == b"HTTP/1.1 200" for each in idle)


def test_a_stream_is_not_buffered(container: SandboxedContainer) -> None:
    with connection(container) as stream:
        stream.sendall(b"GET /stream HTTP/1.1\r\n\r\n")
        lines = stream.makefile("rb")
        while lines.readline() != b"\r\n":
            pass
        delays = [time.time() - float(lines.readline()) for _ in range(5)]
    assert max(delays) < 0.15, "each line arrives before the next is sent"


def test_a_disconnect_during_a_stream_reaches_the_container(container: SandboxedContainer) -> None:
    with connection(container) as stream:
        stream.sendall(b"GET /stream HTTP/1.1\r\n\r\n")
        assert stream.recv(100)
    wait_until(
        lambda: b"stream: " in container.client.get("/events").body, "the stream ends in the container"
    )


@pytest.mark.parametrize(("reset", "seen"), [(False, b"silence: b''"), (True, b"silence: ConnectionReset")])
def test_a_disconnect_while_it_is_silent_reaches_the_container(
    container: SandboxedContainer, reset: bool, seen: bytes
) -> None:
    with connection(container) as waiting:
        waiting.sendall(b"GET /silence HTTP/1.1\r\n\r\n")
        time.sleep(0.2)
        if reset:
            waiting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_until(lambda: seen in container.client.get("/events").body, f"the container sees {seen!r}")


def test_the_containers_disconnect_reaches_the_client(container: SandboxedContainer) -> None:
    with pytest.raises(http.client.IncompleteRead):
        container.client.get("/break")


def test_a_half_close_leaves_the_answer_its_way(container: SandboxedContainer) -> None:
    with connection(container) as half:
        half.sendall(
            b"POST /invocations HTTP/1.1\r\nConnection: close\r\nContent-Length: 10\r\n\r\nprint('a')"
        )
        half.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: half.recv(4096), b""))
    assert received.endswith(b"\r\n\r\na\n")


def test_a_client_that_does_not_read_slows_the_container(container: SandboxedContainer) -> None:
    def sent() -> int:
        return int(container.client.get("/sent").body)

    with connection(container, receive_buffer=4096) as slow:
        slow.sendall(b"GET /flood HTTP/1.1\r\n\r\n")
        before = -1
        while (now := sent()) != before:
            before = now
            time.sleep(1)
        # The kernel's buffers of four sockets (tcp_wmem, tcp_rmem), and nothing of the relay's.
        assert 0 < now < 24 * 2**20
        taken = 0
        while taken < 2 * now:
            taken += len(slow.recv(65536))
        assert sent() > now


def test_a_container_that_does_not_listen_yet_resets_a_connection(tmp_path: Path) -> None:
    container = python_container(tmp_path, "import time; print('up', flush=True); time.sleep(60)").start()
    try:
        wait_until(lambda: "up" in container.text(), "the container starts")
        # The reset arrives while the client connects, or after it.
        with pytest.raises(ConnectionResetError), connection(container) as early:
            early.recv(1)
    finally:
        container.kill()


def test_what_a_container_sends_before_its_end_arrives(tmp_path: Path) -> None:
    # More than one socket's buffer, less than the buffers of both connections.
    size = 6 * 2**20
    code = (
        "import os, socket; server = socket.create_server(('0.0.0.0', 8080)); print('up', flush=True)\n"
        f"made, _ = server.accept(); made.sendall(bytes({size})); os._exit(0)"
    )
    container = python_container(tmp_path, code).start()
    wait_until(lambda: "up" in container.text(), "the container listens")
    with connection(container, receive_buffer=4096) as slow:
        time.sleep(1)
        assert sum(len(part) for part in iter(lambda: slow.recv(65536), b"")) == size
    assert container.process.wait(10) == 0
