"""Loads what the endpoint's instances were asked for into a starting one, within a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from container.gateway.adapters.cache import AdapterCache
from container.gateway.adapters.registry import Adapter, Listed, ObjectStore, RegistryReader, StoreError
from container.gateway.concurrency import consume_exception
from container.gateway.errors import GatewayError
from container.gateway.warm_up.counts import WarmUpCounts
from container.gateway.warm_up.demand_list import UnreadableDemand, demand_prefix, merged, parse_demand

#: Seconds after which a list says nothing about today. The bucket's lifecycle removes it a day later.
MAX_AGE_SECONDS = 24 * 3600.0
#: Lists that are read, the newest ones. Each instance of a large fleet is asked for about the same adapters.
MAX_LISTS = 64
#: Requests to the store at once, as many as it has threads.
_STORE_REQUESTS = 16
#: Share of the time that loads may take; the rest is for using them once more.
_LOAD_SHARE = 0.75

_log = logging.getLogger(__name__)
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class WarmUpLimits:
    """Limits of a warm-up."""

    slots: int
    """Adapters in the engine's fastest memory."""
    disk_bytes: int
    """Bytes of adapter files on the disk."""
    loads: int
    """Loads at once."""


class WarmUp:
    """Reads the lists of demand, and loads adapters in this order:

    1. pinned ones, then by weight, as many as fit on the disk: the most wanted are there when time is up;
    2. those for the engine's slots are used once more, the most wanted last. The engine and the disk cache
       both drop the least recently used adapter first, which would be the most wanted after step 1.

    Loads are those of the cache, so the checks and metrics of a load apply.
    """

    def __init__(
        self,
        store: ObjectStore,
        registry: RegistryReader,
        cache: AdapterCache,
        use: Callable[[str], Awaitable[object]],
        counts: WarmUpCounts,
        *,
        endpoint: str,
        seconds: float,
        limits: WarmUpLimits,
    ) -> None:
        """`use` has the engine use the loaded adapter with an engine id; `seconds` limit all of it."""
        self._store = store
        self._registry = registry
        self._cache = cache
        self._use = use
        self._counts = counts
        self._prefix = demand_prefix(endpoint)
        self._seconds = seconds
        self._limits = limits
        self._loaded: set[str] = set()

    async def run(self) -> None:
        """Warm up for at most `seconds`; never fails. Loads that have begun by then continue."""
        if not self._seconds:
            return
        began = time.monotonic()
        wanted = 0
        try:
            async with asyncio.timeout(self._seconds):
                adapters = await self._wanted()
                wanted = len(adapters)
                left = _LOAD_SHARE * self._seconds - (time.monotonic() - began)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await _each(adapters, self._load, at_once=self._limits.loads)
                slots = reversed(adapters[: self._limits.slots])
                await _each(slots, self._use_again, at_once=self._limits.loads)
        except TimeoutError:
            _log.warning("the warm-up takes more than %g s: its rest is left out", self._seconds)
        except Exception:
            # An instance that is not warm serves all the same.
            _log.exception("the warm-up failed")
        self._counts.seconds = time.monotonic() - began
        _log.info(
            "warm-up: loaded %d of %d wanted adapters in %.1f s",
            self._counts.adapters,
            wanted,
            self._counts.seconds,
        )

    async def _wanted(self) -> Sequence[Adapter]:
        """Return the registered adapters of all lists that fit on the disk: pinned first, then by weight."""
        try:
            found = await self._store.list(self._prefix)
        except StoreError as error:
            self._counts.errors += 1
            _log.warning("the demand for adapters cannot be read: %s", error)
            return ()
        now = time.time()
        recent = sorted((each for each in found if now - each.modified < MAX_AGE_SECONDS), key=_newest_first)
        lists: list[tuple[float, Mapping[str, float]]] = []

        async def read(listed: Listed) -> None:
            # The clock of S3 may be ahead of this one.
            lists.append((max(0.0, now - listed.modified), await self._read(listed.key)))

        await _each(recent[:MAX_LISTS], read, at_once=_STORE_REQUESTS)
        names = merged(lists)
        known: dict[str, Adapter] = {}

        async def resolve(name: str) -> None:
            # Without those that have been removed, or cannot be read.
            with contextlib.suppress(GatewayError):
                known[name] = await self._registry.resolve(name)

        await _each(names, resolve, at_once=_STORE_REQUESTS)
        ranked = [known[name] for name in names if name in known]
        return _fitting(sorted(ranked, key=lambda adapter: not adapter.pinned), self._limits.disk_bytes)

    async def _read(self, key: str) -> Mapping[str, float]:
        try:
            return parse_demand(await self._store.read(key) or b"")
        except (StoreError, UnreadableDemand) as error:
            self._counts.errors += 1
            _log.warning("%s is ignored: %s", key, error)
            return {}

    async def _load(self, adapter: Adapter) -> None:
        # The cache logs a load that fails.
        with contextlib.suppress(GatewayError):
            async with self._cache.keep(adapter, contextlib.nullcontext):
                self._loaded.add(adapter.engine_id)
                self._counts.adapters += 1

    async def _use_again(self, adapter: Adapter) -> None:
        if adapter.engine_id not in self._loaded:
            return
        with contextlib.suppress(GatewayError):
            async with self._cache.keep(adapter, contextlib.nullcontext):
                # An engine may have to read its requests to the end; see `Backend.reads_to_end`.
                used = asyncio.ensure_future(self._use(adapter.engine_id))
                used.add_done_callback(consume_exception)
                await asyncio.shield(used)


async def _each(items: Iterable[_Item], work: Callable[[_Item], Awaitable[None]], *, at_once: int) -> None:
    """Run `work` for each item, started in their order, `at_once` at a time."""
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())


def _newest_first(listed: Listed) -> tuple[int, str]:
    return -listed.modified, listed.key


def _fitting(adapters: Iterable[Adapter], disk_bytes: int) -> list[Adapter]:
    """Return the adapters whose files fit on the disk, in the same order."""
    fitting: list[Adapter] = []
    for adapter in adapters:
        if adapter.size <= disk_bytes:
            fitting.append(adapter)
            disk_bytes -= adapter.size
    return fitting
