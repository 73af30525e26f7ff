"""A web application on a real socket, served by a separate thread."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiohttp import web

from container.gateway.assembly import assemble
from container.gateway.engine.backend import Backend
from container.gateway.engine.connection import EnginePool
from container.gateway.engine.readiness import EngineState
from container.gateway.settings import read_settings
from tests.harness.http_client import Client
from tests.harness.registry_store import StubStore

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


@contextlib.contextmanager
def gateway(
    engine_port: int,
    connect: Callable[[EnginePool], Backend],
    store: StubStore,
    *,
    state: EngineState = EngineState.READY,
    **variables: str,
) -> Iterator[Client]:
    """Yield a client of a gateway in front of an engine, with the container's variables."""
    settings = read_settings(
        {"HF_MODEL_ID": BASE_MODEL, "ADAPTER_BUCKET": "bucket", "MAX_NEW_TOKENS": "1024"} | variables
    )

    async def make_application() -> web.Application:
        pool = EnginePool("127.0.0.1", engine_port)
        backend = connect(pool)
        parts = assemble(settings, backend, store, lambda _: None)
        parts.readiness.state = state
        application = parts.gateway.application()

        async def close(_: web.Application) -> None:
            pool.close()

        application.on_cleanup.append(close)
        return application

    with serving(make_application) as port:
        yield Client(port)
