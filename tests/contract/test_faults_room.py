"""An adapter cache with disk space for one adapter: a waiting load gets the space, however the other load ends."""

import asyncio
import contextlib
from functools import partial
from pathlib import Path

import pytest

from container.gateway.adapters.cache import AdapterCache
from container.gateway.adapters.registry import Adapter
from container.gateway.admission import Admission
from container.gateway.errors import ADAPTER_LOAD_FAILED, GatewayError, adapter_error
from container.gateway.proof.probe import Probe
from container.gateway.request_context import RequestContext
from tests.harness.probes import PROBE, accept

#: A wait that has no end fails its test after 5 s.
pytestmark = pytest.mark.timeout(5, func_only=True)

FIRST, SECOND = (Adapter(name, "0" * 16, 100) for name in ("first", "second"))


class Loader:
    """Loads once `go` is set; the first load fails if `fails` is set."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fails = False
        self.go = asyncio.Event()

    async def load(self, engine_id: str) -> Probe:
        await self.go.wait()
        if engine_id == FIRST.engine_id and self.fails:
            raise adapter_error(ADAPTER_LOAD_FAILED, "the disk is full")
        self.files(engine_id).mkdir(parents=True)
        (self.files(engine_id) / "weights").write_bytes(b"x" * FIRST.size)
        return PROBE

    async def unload(self, engine_id: str) -> bool:
        return True

    async def pin(self, engine_id: str) -> bool:
        return True

    def files(self, engine_id: str) -> Path:
        return self.directory / engine_id


class Room:
    """The cache, and both adapters asked for: the first is being loaded, the second waits for disk space."""

    def __init__(self, directory: Path) -> None:
        self.loader = Loader(directory)
        self._admission = Admission(running=10, queued=10, adapters=10)
        self._cache = AdapterCache(
            self.loader,
            max_bytes=FIRST.size,
            max_loads=2,
            max_rank=8,
            prove=accept,
            on_load=lambda adapter, seconds, error: None,
        )

    async def ask_for_both(self) -> tuple[asyncio.Task[None], asyncio.Task[None]]:
        first, second = (asyncio.create_task(self._use(adapter)) for adapter in (FIRST, SECOND))
        await asyncio.sleep(0.01)
        return first, second

    async def _use(self, adapter: Adapter) -> None:
        waiting = partial(self._admission.waiting_for_load, RequestContext("/"))
        async with self._cache.keep(adapter, waiting):
            await asyncio.sleep(0.01)


async def test_when_the_first_has_been_used_the_second_is_loaded(tmp_path: Path) -> None:
    room = Room(tmp_path)
    first, second = await room.ask_for_both()
    room.loader.go.set()
    await asyncio.gather(first, second)


async def test_when_the_first_fails_the_second_is_loaded(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.loader.fails = True
    first, second = await room.ask_for_both()
    room.loader.go.set()
    with pytest.raises(GatewayError):
        await first
    await second


async def test_when_no_request_waits_for_the_first_any_more_the_second_is_loaded(tmp_path: Path) -> None:
    room = Room(tmp_path)
    first, second = await room.ask_for_both()
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    room.loader.go.set()
    await second
