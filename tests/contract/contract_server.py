"""A web application on a real socket in a thread of its own, and a plain client for it."""

import asyncio
import contextlib
import http.client
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from container.gateway.adapters.registry import Listed
from container.gateway.assembly import assemble
from container.gateway.engine.backend import Backend
from container.gateway.engine.connection import EnginePool
from container.gateway.engine.readiness import EngineState
from container.gateway.settings import read_settings

BASE_MODEL = "tiny-mistral"


@contextlib.contextmanager
def serving(make_application: Callable[[], Awaitable[web.Application]]) -> Iterator[int]:
    """Serve the application until the end of the block; gives the port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(timeout=20)

    async def start() -> tuple[web.AppRunner, int]:
        runner = web.AppRunner(await make_application(), handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return runner, runner.addresses[0][1]

    runner, port = run(start())
    try:
        yield port
    finally:
        run(runner.cleanup())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=20)
        loop.close()


class StubStore:
    """An adapter store of registry entries only."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    async def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    async def size(self, key: str) -> int | None:
        return len(self.objects[key]) if key in self.objects else None

    async def list(self, prefix: str) -> list[Listed]:
        return [Listed(key, 1_700_000_000) for key in self.objects if key.startswith(prefix)]


@contextlib.contextmanager
def gateway(
    engine_port: int,
    connect: Callable[[EnginePool], Backend],
    store: StubStore,
    *,
    state: EngineState = EngineState.READY,
    **variables: str,
) -> Iterator["Client"]:
    """A gateway in front of an engine, with the container's variables; gives a client for it."""
    settings = read_settings(
        {"HF_MODEL_ID": BASE_MODEL, "ADAPTER_BUCKET": "bucket", "MAX_NEW_TOKENS": "1024"} | variables
    )

    async def make_application() -> web.Application:
        pool = EnginePool("127.0.0.1", engine_port)
        backend = connect(pool)
        parts = assemble(settings, backend, store, log.append)
        parts.readiness.state = state
        application = parts.gateway.application()

        async def close(_: web.Application) -> None:
            pool.close()

        application.on_cleanup.append(close)
        return application

    log: list[bytes] = []
    with serving(make_application) as port:
        yield Client(port, log)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[dict[str, Any]]:
        assert self.headers["content-type"].startswith("text/event-stream"), self.body
        *blocks, rest = self.body.split(b"\n\n")
        assert rest == b""
        assert all(block.startswith(b"data: ") for block in blocks)
        return [json.loads(block.removeprefix(b"data: ")) for block in blocks]


@dataclass
class Client:
    port: int
    log: list[bytes] = field(default_factory=list)
    """The gateway's log, where it runs in the test's own process."""

    def request(
        self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json"
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Content-Type": content_type} if body is not None else {})
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())

    def ping(self) -> Answer:
        return self.request("GET", "/ping")

    def invoke(
        self, inputs: Any = "Q: ", *, stream: bool = False, path: str = "/invocations", **p: Any
    ) -> Answer:
        body = {"inputs": inputs, "parameters": p, "stream": stream}
        return self.request("POST", path, json.dumps(body).encode())

    @contextlib.contextmanager
    def hang_up_early(self, *, path: str, adapter_id: str) -> Iterator[None]:
        """Send a request and close the connection at the end of the block without reading."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = {"inputs": "Q: ", "parameters": {"adapter_id": adapter_id}}
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            yield
