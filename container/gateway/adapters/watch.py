"""Watch over the registry: loads pinned adapters ahead of requests, unloads replaced and removed ones."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from adapters.errors import InvalidName
from container.gateway.adapters.cache import AdapterCache
from container.gateway.adapters.registry import Adapter, Listed, RegistryReader
from container.gateway.errors import GatewayError

#: Seconds between two looks: a LIST request for each thousand names, and a GET for each changed entry.
INTERVAL_SECONDS = 30.0
#: A time of change has whole seconds: an entry that is younger than this may change again without a trace.
_SETTLED_SECONDS = 2.0

_log = logging.getLogger(__name__)


class RegistryWatch:
    """Reads each entry once, and again after changes: so `RegistryReader` notices replaced revisions."""

    def __init__(self, registry: RegistryReader, cache: AdapterCache) -> None:
        """`cache` is that of the adapters which `registry` resolves."""
        self._registry = registry
        self._cache = cache
        self._read: dict[str, int] = {}
        self._pinned: dict[str, Adapter] = {}
        self._refused: set[str] = set()

    async def run(self, is_ready: Callable[[], bool]) -> None:
        """Look at regular intervals, while the engine is ready, until cancelled."""
        while True:
            if is_ready():
                await self.look()
                await asyncio.sleep(INTERVAL_SECONDS)
            else:
                await asyncio.sleep(1)

    async def look(self) -> None:
        """Read what has changed since the last look, then load and pin what is to be pinned."""
        try:
            names = await self._registry.names()
        except GatewayError:
            # It is logged, and counted in `RegistryReader.errors`.
            return
        listed = {each.key for each in names}
        for name in self._read.keys() - listed:
            await self._refresh(Listed(name, 0))
        for each in names:
            if self._read.get(each.key) != each.modified:
                await self._refresh(each)
        for adapter in list(self._pinned.values()):
            await self._pin(adapter)

    async def _refresh(self, entry: Listed) -> None:
        name = entry.key
        try:
            adapter = await self._registry.refresh(name)
        except InvalidName:
            # No name of ours: something else has written the object.
            self._read[name] = entry.modified
            return
        except GatewayError as error:
            if error.status == 404:
                self._read.pop(name, None)
                self._pinned.pop(name, None)
            return
        if time.time() - entry.modified > _SETTLED_SECONDS:
            self._read[name] = entry.modified
        if adapter.pinned:
            self._pinned[name] = adapter
        else:
            self._pinned.pop(name, None)

    async def _pin(self, adapter: Adapter) -> None:
        try:
            pinned = await self._cache.pin(adapter)
        except GatewayError:
            # The cache logs it, and does not retry it at once.
            return
        if pinned:
            self._refused.discard(adapter.engine_id)
        elif adapter.engine_id not in self._refused:
            self._refused.add(adapter.engine_id)
            _log.warning(
                "%s is served, but not pinned: pinned adapters may take half of the engine's slots, and half "
                "of gateway.adapter_cache_gb: raise engine.max_active_adapters, or pin fewer",
                adapter.engine_id,
            )
