"""The adapters that this container has loaded: on its disk, and known to its engine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

from container.gateway.adapters.registry import Adapter
from container.gateway.admission import Admission
from container.gateway.concurrency import Turns
from container.gateway.errors import ADAPTER_INCOMPATIBLE, INTERNAL, GatewayError, adapter_error
from container.gateway.request_context import Exchange, Phase
from container.gateway.tasks import look_at_error

#: Seconds for which a failed load is not tried again: on LoRAX each one makes all requests wait.
FAILURE_SECONDS = 5.0
#: The same for an adapter that the engine cannot serve: neither of them changes. Each load that LoRAX cannot
#: finish takes a share of its memory for adapters for good.
INCOMPATIBLE_SECONDS = 3600.0

_log = logging.getLogger(__name__)


class Loader(Protocol):
    """What is asked of the engine; see `Backend`."""

    async def load(self, engine_id: str) -> None:
        """Have the engine fetch and load an adapter; raises `GatewayError`."""
        ...

    async def forget(self, engine_id: str) -> None:
        """Have the engine forget an adapter whose files are about to go."""
        ...

    def files(self, engine_id: str) -> Path:
        """The directory where the engine keeps an adapter's files."""
        ...


class AdapterCache:
    """Loads adapters when they are first asked for, and removes the least recently used from the disk.

    A load is a task of its own: it goes on when its callers leave, all who ask for the same adapter wait
    for the same one, and only so many run at once. Requests for adapters that are here never wait for it.
    """

    def __init__(
        self,
        loader: Loader,
        admission: Admission,
        *,
        max_bytes: int,
        max_loads: int,
        max_rank: int,
        on_load: Callable[[Adapter, float, GatewayError | None], None],
    ) -> None:
        """`max_bytes` of files; `on_load` is told each load, its seconds and its error."""
        self._loader = loader
        self._admission = admission
        self._max_bytes = max_bytes
        self._max_rank = max_rank
        self._on_load = on_load
        #: Loads that run, and those that wait until fewer run.
        self.loads = Turns(max_loads)
        #: Since the start: adapters removed to make room; loads that failed, incompatible ones left out.
        self.evictions = 0
        self.load_failures = 0
        # One makes room at a time, first come first served: else another takes the room that it has made.
        self._room = asyncio.Lock()
        # Bytes of each, least recently used first.
        self._held: dict[str, int] = {}
        # Requests that use an adapter or wait for it: it stays, also if it has only just come.
        self._wanted: Counter[str] = Counter()
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._incoming: dict[str, int] = {}
        self._failed: dict[str, tuple[float, GatewayError]] = {}
        self._released = asyncio.Event()

    @property
    def bytes(self) -> int:
        """Bytes of adapter files on the disk, those that are being fetched included."""
        return sum(self._held.values()) + sum(self._incoming.values())

    @property
    def count(self) -> int:
        """Adapters that are here."""
        return len(self._held)

    @contextlib.asynccontextmanager
    async def keep(self, adapter: Adapter, exchange: Exchange) -> AsyncIterator[None]:
        """The adapter is loaded, and stays while the block runs; raises `GatewayError`."""
        engine_id = adapter.engine_id
        self._wanted[engine_id] += 1
        try:
            while engine_id not in self._held:
                exchange.enter(Phase.LOADING)
                with self._admission.waiting_for_load():
                    await asyncio.shield(self._load(adapter))
            self._held[engine_id] = self._held.pop(engine_id)
            yield
        finally:
            self._wanted[engine_id] -= 1
            if not self._wanted[engine_id]:
                del self._wanted[engine_id]
            self._released.set()

    def lost(self, adapter: Adapter) -> None:
        """The engine could not use it although it was here: it is loaded again before its next use."""
        self._held.pop(adapter.engine_id, None)

    def _load(self, adapter: Adapter) -> asyncio.Task[None]:
        engine_id = adapter.engine_id
        if engine_id not in self._loading:
            self._check(adapter)
            task = asyncio.create_task(self._load_now(adapter))
            self._loading[engine_id] = task
            task.add_done_callback(look_at_error)
        return self._loading[engine_id]

    def _check(self, adapter: Adapter) -> None:
        until, error = self._failed.get(adapter.engine_id, (0.0, None))
        if error is not None and until > time.monotonic():
            # With its traceback each raise would keep one more request's frames, prompt and all.
            raise error.with_traceback(None)
        self._failed.pop(adapter.engine_id, None)
        if adapter.rank is not None and adapter.rank > self._max_rank:
            raise adapter_error(
                ADAPTER_INCOMPATIBLE,
                f"Adapter {adapter.name!r} has rank {adapter.rank}; served are ranks up to {self._max_rank}",
            )
        if adapter.size > self._max_bytes:
            raise adapter_error(
                ADAPTER_INCOMPATIBLE,
                f"Adapter {adapter.name!r} has {adapter.size} bytes, the adapter cache {self._max_bytes}",
            )

    async def _load_now(self, adapter: Adapter) -> None:
        # The task leaves `_loading` itself: between its end and a callback others may run, and who finds
        # a finished task there waits for it for ever, without letting anybody else run.
        try:
            async with self.loads:
                async with self._room:
                    if not await self._make_room(adapter):
                        return
                    self._incoming[adapter.engine_id] = adapter.size
                await self._fetch(adapter)
        finally:
            del self._loading[adapter.engine_id]

    async def _fetch(self, adapter: Adapter) -> None:
        engine_id = adapter.engine_id
        began = time.monotonic()
        error: GatewayError | None = INTERNAL
        try:
            await self._loader.load(engine_id)
            self._held[engine_id] = await asyncio.to_thread(_bytes_below, self._loader.files(engine_id))
            error = None
        except GatewayError as failure:
            error = failure
            _log.warning("%s is not loaded: %s: %s", engine_id, failure.error_type, failure.message)
            if failure.is_of_adapter:
                self._remember_failure(engine_id, failure)
                # Nobody would count what has come of it, and a damaged file would never be fetched again.
                await asyncio.to_thread(shutil.rmtree, self._loader.files(engine_id), ignore_errors=True)
            raise
        finally:
            del self._incoming[engine_id]
            self._released.set()
            self.load_failures += error is not None and error.is_ours
            self._on_load(adapter, time.monotonic() - began, error)

    def _remember_failure(self, engine_id: str, error: GatewayError) -> None:
        now = time.monotonic()
        self._failed = {name: known for name, known in self._failed.items() if known[0] > now}
        forgiven = INCOMPATIBLE_SECONDS if error.error_type == ADAPTER_INCOMPATIBLE else FAILURE_SECONDS
        self._failed[engine_id] = (now + forgiven, error)

    async def _make_room(self, adapter: Adapter) -> bool:
        """Whether there is room now; not made for an adapter that nobody waits for any more."""
        while adapter.engine_id in self._wanted:
            if self.bytes + adapter.size <= self._max_bytes or not (self._held or self._incoming):
                return True
            idle = next((engine_id for engine_id in self._held if engine_id not in self._wanted), None)
            if idle is not None:
                await self._remove(idle)
                continue
            # All that is here is in use, or waited for.
            self._released.clear()
            await self._released.wait()
        return False

    async def _remove(self, engine_id: str) -> None:
        # Still counted, and not to be loaded again, until it is gone.
        self._incoming[engine_id] = self._held.pop(engine_id)
        gone = asyncio.create_task(self._remove_files(engine_id))
        self._loading[engine_id] = gone
        gone.add_done_callback(look_at_error)
        await asyncio.shield(gone)

    async def _remove_files(self, engine_id: str) -> None:
        try:
            await self._loader.forget(engine_id)
            await asyncio.to_thread(shutil.rmtree, self._loader.files(engine_id), ignore_errors=True)
            self.evictions += 1
            _log.info("removed %s from the disk", engine_id)
        finally:
            del self._incoming[engine_id]
            del self._loading[engine_id]
            self._released.set()


def _bytes_below(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
