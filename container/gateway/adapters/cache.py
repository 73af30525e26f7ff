"""LRU cache of adapters on the container's disk, loaded into its engine on first use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from adapters.store.layout import name_of
from container.gateway.adapters.registry import Adapter
from container.gateway.concurrency import Limiter, consume_exception
from container.gateway.errors import (
    ADAPTER_INCOMPATIBLE,
    ADAPTER_WITHOUT_EFFECT,
    INTERNAL,
    GatewayError,
    adapter_error,
)
from container.gateway.proof.probe import Probe

#: Seconds for which a failed load is not retried: on LoRAX each load makes all requests wait.
FAILURE_SECONDS = 5.0
#: The same for an adapter that the engine cannot serve, or that has no effect: neither of the two changes.
#: Each load that LoRAX cannot finish permanently takes a part of its memory for adapters.
INCOMPATIBLE_SECONDS = 3600.0

_log = logging.getLogger(__name__)


class Loader(Protocol):
    """The part of `Backend` that the cache calls."""

    async def load(self, engine_id: str) -> Probe:
        """Have the engine fetch and load an adapter, and return its probe; raises `GatewayError`."""
        ...

    async def unload(self, engine_id: str) -> bool:
        """Have the engine unload an adapter; False if it still needs the files."""
        ...

    async def pin(self, engine_id: str) -> bool:
        """Have the engine keep a loaded adapter in its memory; False if it does not."""
        ...

    def files(self, engine_id: str) -> Path:
        """Return the directory where the engine keeps an adapter's files."""
        ...


class AdapterCache:
    """Loads adapters on first use. States of an adapter, and what leads to the next one:

    absent    in no map but perhaps `_failed`, which holds the error of a recent load: `keep` raises it again
              until it expires. Otherwise `keep` starts a load.
    loading   `_loading` has its task. The load waits for a load slot (`loads`), then for disk space; then
              `_incoming` has its bytes. All requests for it wait for the one task.
    loaded    `_held` has its bytes, least recently used first. `_wanted` counts the requests that use an
              adapter or wait for it: it is removed only at 0, or set to absent by `lost`. One in `_pinned` is
              not removed for disk space. One in `_retired` is removed as soon as no request uses it.
    removal   `_loading` has the task that deletes the files, `_incoming` the bytes until it is done. A
              request for it waits, then loads it again.

    While a request waits here it is in the state loading of `Admission`: `keep` enters the block that the
    server passes. Cancelling it only lowers its count in `_wanted`: a load that has disk space continues,
    since others may wait for it and a partial download is of no use. One without returns if no request wants
    it.
    Requests for loaded adapters never wait for a load.
    """

    #: Share of the disk cache that pinned adapters may take.
    PINNED_SHARE = 0.5

    def __init__(
        self,
        loader: Loader,
        *,
        max_bytes: int,
        max_loads: int,
        max_rank: int,
        prove: Callable[[Adapter, Probe], Awaitable[None]],
        on_load: Callable[[Adapter, float, GatewayError | None], None],
    ) -> None:
        """Hold at most `max_bytes` of files; call `on_load` with each load's seconds and error.

        `prove` checks the probe of a load, and raises `GatewayError` for an adapter that must not be served.
        """
        self._loader = loader
        self._max_bytes = max_bytes
        self._max_rank = max_rank
        self._prove = prove
        self._on_load = on_load
        #: Bounds the loads that run at once.
        self.loads = Limiter(max_loads)
        #: Since the start: adapters removed for disk space; failed loads but those of incompatible adapters.
        self.evictions = 0
        self.load_failures = 0
        #: Engine ids of the adapters whose last load failed, incompatible ones left out.
        self._failing: set[str] = set()
        # One load at a time frees disk space, in order of arrival: else another one takes what it has freed.
        self._room = asyncio.Lock()
        self._held: dict[str, int] = {}
        self._pinned: set[str] = set()
        self._retired: set[str] = set()
        self._wanted: Counter[str] = Counter()
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._incoming: dict[str, int] = {}
        self._failed: dict[str, tuple[float, GatewayError]] = {}
        self._released = asyncio.Event()

    @property
    def bytes(self) -> int:
        """Bytes of adapter files on the disk, including those being downloaded or removed."""
        return sum(self._held.values()) + sum(self._incoming.values())

    @property
    def count(self) -> int:
        """Number of loaded adapters."""
        return len(self._held)

    @property
    def loaded(self) -> tuple[str, ...]:
        """Engine ids of the loaded adapters, least recently used first."""
        return tuple(self._held)

    @property
    def in_use(self) -> tuple[str, ...]:
        """Engine ids of the loaded adapters that requests use now, and of the one used last.

        Those are in the engine's memory, or are about to be.
        """
        *others, last = self._held or (None,)
        return tuple(each for each in others if each in self._wanted) + ((last,) if last else ())

    @property
    def failing(self) -> int:
        """Number of adapters whose last load failed since `forget_failing`, incompatible ones left out."""
        return len(self._failing)

    def forget_failing(self) -> None:
        """Begin a new interval of `failing`: an adapter that callers still request is retried, and counts."""
        self._failing.clear()

    @contextlib.asynccontextmanager
    async def keep(
        self, adapter: Adapter, waiting_for_load: Callable[[], AbstractContextManager[None]]
    ) -> AsyncIterator[None]:
        """Load the adapter if need be, and keep it during the block; raises `GatewayError`.

        Each wait for a load runs in a new `waiting_for_load()`.
        """
        engine_id = adapter.engine_id
        self._wanted[engine_id] += 1
        try:
            while engine_id not in self._held:
                with waiting_for_load():
                    await asyncio.shield(self._load(adapter))
            # The most recently used one is the last.
            self._held[engine_id] = self._held.pop(engine_id)
            yield
        finally:
            self._wanted[engine_id] -= 1
            if not self._wanted[engine_id]:
                del self._wanted[engine_id]
                if engine_id in self._retired and engine_id in self._held:
                    self._start_removal(engine_id)
            self._released.set()

    def lost(self, adapter: Adapter) -> None:
        """Drop an adapter that the engine turned out not to have: the next `keep` loads it again."""
        self._held.pop(adapter.engine_id, None)
        self._pinned.discard(adapter.engine_id)

    def holds(self, engine_id: str) -> bool:
        """Return whether an adapter is loaded."""
        return engine_id in self._held

    @property
    def names(self) -> set[str]:
        """Names of the loaded adapters."""
        return {name_of(engine_id) for engine_id in self._held}

    async def pin(self, adapter: Adapter) -> bool:
        """Load an adapter if need be, and keep it in the engine's memory and on the disk until it is retired.

        Returns False for one that is loaded but not pinned, since others take all that may be pinned, or the
        engine cannot pin. Raises `GatewayError` for one that cannot be loaded.
        """
        engine_id = adapter.engine_id
        async with self.keep(adapter, contextlib.nullcontext):
            if engine_id not in self._pinned:
                pinned = sum(self._held.get(each, 0) for each in self._pinned)
                fits = pinned + self._held[engine_id] <= self.PINNED_SHARE * self._max_bytes
                if fits and await self._loader.pin(engine_id):
                    self._pinned.add(engine_id)
        return engine_id in self._pinned

    def retire(self, adapter: Adapter) -> None:
        """Unload an adapter that was replaced or removed, and remove its files, once no request uses it."""
        engine_id = adapter.engine_id
        self._pinned.discard(engine_id)
        if engine_id in self._wanted:
            self._retired.add(engine_id)
        elif engine_id in self._held:
            self._start_removal(engine_id)

    def _load(self, adapter: Adapter) -> asyncio.Task[None]:
        engine_id = adapter.engine_id
        if engine_id not in self._loading:
            self._check(adapter)
            task = asyncio.create_task(self._load_now(adapter))
            self._loading[engine_id] = task
            task.add_done_callback(consume_exception)
        return self._loading[engine_id]

    def _check(self, adapter: Adapter) -> None:
        until, error = self._failed.get(adapter.engine_id, (0.0, None))
        if error is not None and until > time.monotonic():
            # The traceback would keep the frames of each request that it was raised for, prompts included.
            raise error.with_traceback(None)
        self._failed.pop(adapter.engine_id, None)
        if adapter.rank is not None and adapter.rank > self._max_rank:
            raise adapter_error(
                ADAPTER_INCOMPATIBLE,
                f"Adapter {adapter.name!r} has rank {adapter.rank}, above this endpoint's {self._max_rank}: "
                "publish one of a lower rank, or raise engine.max_adapter_rank in the endpoint's stage file",
            )
        if adapter.size > self._max_bytes:
            raise adapter_error(
                ADAPTER_INCOMPATIBLE,
                f"Adapter {adapter.name!r} has {adapter.size} bytes, the adapter cache {self._max_bytes:.0f}"
                ": raise gateway.adapter_cache_gb in the endpoint's stage file",
            )

    async def _load_now(self, adapter: Adapter) -> None:
        # The task removes itself from `_loading`, rather than a done-callback: a request that runs between
        # the task's end and the callback would find the finished task and loop in `keep` without yielding.
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
            probe = await self._loader.load(engine_id)
            try:
                await self._prove(adapter, probe)
            except GatewayError:
                await self._loader.unload(engine_id)
                raise
            self._held[engine_id] = await asyncio.to_thread(_bytes_below, self._loader.files(engine_id))
            self._failing.discard(engine_id)
            error = None
        except GatewayError as failure:
            error = failure
            _log.warning("%s is not loaded: %s: %s", engine_id, failure.error_type, failure.message)
            if failure.is_of_adapter:
                self._remember_failure(engine_id, failure)
                # A partial download would not count in `bytes`, and a damaged file would never be replaced.
                await asyncio.to_thread(shutil.rmtree, self._loader.files(engine_id), ignore_errors=True)
            raise
        finally:
            del self._incoming[engine_id]
            self._released.set()
            if error is not None and error.is_ours:
                self.load_failures += 1
                self._failing.add(engine_id)
            self._on_load(adapter, time.monotonic() - began, error)

    def _remember_failure(self, engine_id: str, error: GatewayError) -> None:
        now = time.monotonic()
        self._failed = {name: known for name, known in self._failed.items() if known[0] > now}
        lasting = error.error_type in (ADAPTER_INCOMPATIBLE, ADAPTER_WITHOUT_EFFECT)
        seconds = INCOMPATIBLE_SECONDS if lasting else FAILURE_SECONDS
        self._failed[engine_id] = (now + seconds, error)

    async def _make_room(self, adapter: Adapter) -> bool:
        """Free disk space for an adapter; return False if no request wants it any more."""
        while adapter.engine_id in self._wanted:
            if self.bytes + adapter.size <= self._max_bytes or not (self._held or self._incoming):
                return True
            stays = self._wanted.keys() | self._pinned
            idle = next((engine_id for engine_id in self._held if engine_id not in stays), None)
            if idle is not None:
                await asyncio.shield(self._start_removal(idle))
                self.evictions += idle not in self._held
                continue
            # Every loaded adapter is in use, pinned, or wanted by a waiting request.
            self._released.clear()
            await self._released.wait()
        return False

    def _start_removal(self, engine_id: str) -> asyncio.Task[None]:
        # Its bytes count, and it cannot be loaded, until its files are deleted.
        self._incoming[engine_id] = self._held.pop(engine_id)
        self._retired.discard(engine_id)
        removal = asyncio.create_task(self._remove_files(engine_id))
        self._loading[engine_id] = removal
        removal.add_done_callback(consume_exception)
        return removal

    async def _remove_files(self, engine_id: str) -> None:
        try:
            if not await self._loader.unload(engine_id):
                # A request whose client has disconnected is still at the engine: the adapter is evicted last.
                self._held[engine_id] = self._incoming[engine_id]
                return
            await asyncio.to_thread(shutil.rmtree, self._loader.files(engine_id), ignore_errors=True)
            _log.info("removed %s from the disk", engine_id)
        finally:
            del self._incoming[engine_id]
            del self._loading[engine_id]
            self._released.set()


def _bytes_below(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
