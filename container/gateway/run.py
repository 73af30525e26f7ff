"""The container's first process: the engine behind the gateway, from the first ping to the last answer."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence

import aiohttp
from aiohttp import web

from container.gateway.engine import Engine
from container.gateway.launch import Launch
from container.gateway.readiness import EngineState, Readiness
from container.gateway.registry import Registry
from container.gateway.s3 import S3Store
from container.gateway.server import Gateway
from container.gateway.settings import Settings, SettingsError, read_settings

#: SageMaker kills a container 30 s after SIGTERM: 25 s for the answers under way, 4 s for the engine.
DRAIN_SECONDS = 25.0
ENGINE_STOP_SECONDS = 4.0
#: vLLM's web server closes connections that were idle for 5 s. To use one just then would fail a
#: request, so the gateway closes them first.
KEEP_ALIVE_SECONDS = 4.0

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str], make_launch: Callable[[Settings], Launch]) -> int:
    """Run the container's command; its exit code.

    0 after SIGTERM, 1 if the engine ended by itself, 2 if the arguments or a variable are wrong.
    """
    if list(arguments) != ["serve"]:
        print("usage: serve   (SageMaker passes this argument; there are no others)", file=sys.stderr)
        return 2
    try:
        settings = read_settings(os.environ)
        launch = make_launch(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s gateway: %(message)s")
    try:
        return asyncio.run(serve(settings, launch))
    except OSError as error:
        _log.error("cannot start: %s", error)
        return 1


async def serve(settings: Settings, launch: Launch) -> int:
    """Serve until SIGTERM or SIGINT (0) or until the engine ends (1)."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS)
    # The gateway's own limits apply, not the client library's 5 minutes.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        backend = launch.connect(session)
        readiness = Readiness(backend)
        gateway = Gateway(
            backend,
            Registry(S3Store(settings.adapter_bucket, settings.region)),
            readiness,
            max_new_tokens=settings.max_new_tokens,
            max_concurrent_requests=settings.max_concurrent_requests,
        )
        # A caller who hangs up cancels the handler, and with it the engine's work for nobody.
        runner = web.AppRunner(
            gateway.application(),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=DRAIN_SECONDS,
        )
        await runner.setup()
        await web.TCPSite(runner, settings.bind_host, settings.port).start()
        engine = await Engine.start(launch.command, launch.environment)
        watching = asyncio.create_task(readiness.watch())
        try:
            return await _run_until_end(engine, watching, readiness, stop)
        finally:
            watching.cancel()
            await runner.cleanup()
            await engine.stop(ENGINE_STOP_SECONDS)


async def _run_until_end(
    engine: Engine, watching: asyncio.Task[None], readiness: Readiness, stop: asyncio.Event
) -> int:
    ended, stopped = asyncio.create_task(engine.wait()), asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait((ended, stopped, watching), return_when=asyncio.FIRST_COMPLETED)
    if watching in done:
        watching.result()
    if ended in done:
        stopped.cancel()
        readiness.state = EngineState.DEAD
        _log.error("the engine ended by itself, exit code %d", ended.result())
        return 1
    ended.cancel()
    _log.info("stopping: finishing the answers under way")
    return 0
