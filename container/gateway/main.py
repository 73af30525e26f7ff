"""Entry point of the container: starts gateway and engine, serves until SIGTERM, drains, stops both."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from select import PIPE_BUF

import uvloop
from aiohttp import web

from container.gateway.adapters.s3 import S3Store
from container.gateway.assembly import assemble
from container.gateway.engine.backend import EngineLaunch
from container.gateway.engine.connection import EnginePool
from container.gateway.engine.orphans import reap_orphans
from container.gateway.engine.process import EngineProcess
from container.gateway.engine.readiness import EngineState, Readiness
from container.gateway.settings import Settings, SettingsError, read_settings
from container.gateway.telemetry.telemetry import Telemetry

#: SageMaker kills a container 30 s after SIGTERM: 23 s for the requests in flight, 2 s to send the rest of
#: their answers, 4 s for the engine.
DRAIN_SECONDS = 23.0
SEND_SECONDS = 2.0
ENGINE_STOP_SECONDS = 4.0
#: Length of the listen queue: SageMaker expects each connection to be accepted within 250 ms, and a burst of
#: thousands takes the gateway longer.
BACKLOG = 4096

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str], make_launch: Callable[[Settings], EngineLaunch]) -> int:
    """Run the container's command and return its exit code.

    0 after SIGTERM, 1 if the engine exited by itself, 2 if the arguments or a variable are wrong.
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
    # aiohttp's log would quote a request that it cannot parse, which may be a prompt.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s gateway: %(message)s")
    # Each connection is a file; the usual soft limit is 1024 of them.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # A body of 2 MiB can become a million objects: with Python's default thresholds the garbage collector
    # would scan them repeatedly, for half a second.
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    try:
        return uvloop.run(serve(settings, launch))
    except OSError as error:
        _log.error("cannot start: %s", error)
        return 1


async def serve(settings: Settings, launch: EngineLaunch) -> int:
    """Serve until SIGTERM or SIGINT (return 0) or until the engine exits (return 1)."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    pool = EnginePool("127.0.0.1", settings.engine_port)
    backend = launch.connect(pool)
    for stale in backend.files_at_start():
        shutil.rmtree(stale, ignore_errors=True)
    store = S3Store(settings.adapter_bucket, settings.region)
    log_thread = ThreadPoolExecutor(1, "log")
    write = _log_writer(log_thread)
    parts = assemble(settings, backend, store, write)
    # A client disconnect cancels the handler, and with it the generation (`EngineTask` has the exception).
    runner = web.AppRunner(
        parts.gateway.application(),
        access_log=None,
        handler_cancellation=True,
        auto_decompress=False,
        shutdown_timeout=SEND_SECONDS,
    )
    await runner.setup()
    site = web.TCPSite(runner, settings.bind_host, settings.port, backlog=BACKLOG)
    await site.start()
    engine = await EngineProcess.start(launch.command, launch.environment)
    background = [
        asyncio.create_task(parts.readiness.watch()),
        asyncio.create_task(parts.watch.run(lambda: parts.readiness.is_ready)),
        asyncio.create_task(_emit_metrics(parts.telemetry, settings.metrics_seconds, write)),
        asyncio.create_task(parts.publisher.run()),
        asyncio.create_task(parts.prover.watch(settings.probe_share)),
    ]
    reaping = asyncio.create_task(reap_orphans(engine.pid))
    try:
        code = await _run_until_end(engine, background, parts.readiness, stop)
        if code == 0:
            await site.stop()
            await asyncio.gather(parts.gateway.drain(DRAIN_SECONDS), parts.publisher.publish_last())
        return code
    finally:
        for task in background:
            task.cancel()
        await runner.cleanup()
        write(parts.telemetry.last_emf_lines())
        parts.telemetry.access_log.flush()
        await engine.stop(ENGINE_STOP_SECONDS)
        reaping.cancel()
        pool.close()
        log_thread.shutdown()


async def _emit_metrics(telemetry: Telemetry, seconds: float, write: Callable[[bytes], object]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await telemetry.ask_engine()
        write(telemetry.emf_lines())


def _log_writer(thread: Executor) -> Callable[[bytes], object]:
    """Return a function that writes lines to stdout, the endpoint's log, in a thread: a write may block."""
    return lambda lines: thread.submit(_write, lines)


def _write(lines: bytes) -> None:
    """Write lines in blocks of at most PIPE_BUF, which are atomic in a pipe: the engine writes to it, too."""
    block = b""
    for line in lines.splitlines(keepends=True):
        if block and len(block) + len(line) > PIPE_BUF:
            os.write(sys.stdout.fileno(), block)
            block = b""
        block += line
    while block:
        block = block[os.write(sys.stdout.fileno(), block) :]


async def _run_until_end(
    engine: EngineProcess, background: Sequence[asyncio.Task[None]], readiness: Readiness, stop: asyncio.Event
) -> int:
    ended, stopped = asyncio.create_task(engine.wait()), asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait((ended, stopped, *background), return_when=asyncio.FIRST_COMPLETED)
    for task in background:
        if task in done:
            task.result()
    if ended in done:
        stopped.cancel()
        readiness.state = EngineState.DEAD
        _log.error("the engine ended by itself, exit code %d", ended.result())
        return 1
    ended.cancel()
    _log.info("stopping: finishing the answers under way")
    return 0
