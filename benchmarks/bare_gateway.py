"""The gateway in a process without a container: no adapters, no engine process, ready at once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

from benchmarks.errors import BenchmarkFailed
from container.gateway.adapters.registry import Listed
from container.gateway.assembly import assemble
from container.gateway.engine.connection import EnginePool
from container.gateway.engine.readiness import EngineState
from container.gateway.settings import read_settings
from container.vllm.backend import VllmBackend
from samples.spec import BASE_NAME
from stacks.project import ROOT

_READY_SECONDS = 20.0


class _NoAdapters:
    """An adapter store without adapters: all requests are for the base model."""

    async def read(self, key: str) -> bytes | None:
        return None

    async def size(self, key: str) -> int | None:
        return None

    async def list(self, prefix: str) -> list[Listed]:
        return []

    async def write(self, key: str, body: bytes) -> None:
        pass

    async def create(self, key: str, body: bytes) -> bool:
        return True


async def serve_gateway(pool: EnginePool, port: int) -> None:
    """Serve a gateway in front of the vLLM at `pool`, assembled as in `container.gateway.main`, for good."""
    settings = read_settings({"HF_MODEL_ID": BASE_NAME, "ADAPTER_BUCKET": "none"})
    backend = VllmBackend(
        pool,
        base_model=BASE_NAME,
        max_input_tokens=settings.max_input_tokens,
        default_new_tokens=settings.default_new_tokens,
        cache=Path("unused"),
        resident=2,
    )
    parts = assemble(settings, backend, _NoAdapters(), lambda _: None)
    parts.readiness.state = EngineState.READY
    runner = web.AppRunner(parts.gateway.application(), access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    await asyncio.Event().wait()


@contextlib.contextmanager
def module_process(module: str, *arguments: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module until the end of the block; the block begins when it listens on `port`."""
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT)
    try:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkFailed(f"{module} does not listen")
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()
