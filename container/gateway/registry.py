"""From the name that a caller writes to the engine's id of one immutable revision."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from adapters.errors import InvalidName
from adapters.names import Reference, check_revision
from adapters.store import CONFIG_FILE, RegistryEntry, adapter_prefix, registry_key
from container.gateway.errors import GatewayError

#: Seconds for which an answer is used again, so that a newly published revision is served as soon.
CACHE_SECONDS = 5.0
#: Callers choose the names, so what is remembered has to have an end.
MAX_REMEMBERED = 10_000


class StoreError(Exception):
    """The adapter store could not be asked."""


class ObjectStore(Protocol):
    """The two questions that are put to the adapter bucket; both raise `StoreError`."""

    async def read(self, key: str) -> bytes | None:
        """An object's content, None if there is no such object."""
        ...

    async def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        ...


class Registry:
    """Looks adapters up; remembers each answer, also "unknown", for a few seconds."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        cache_seconds: float = CACHE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives seconds."""
        self._store = store
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._remembered: dict[str, tuple[float, str | None]] = {}
        self._asking: dict[str, asyncio.Task[str | None]] = {}

    async def engine_id(self, adapter: str) -> str:
        """The engine id of `name` or `name@revision`.

        Raises `GatewayError`: 422 if `adapter` cannot be a name, 404 if it is unknown, 503 if the store
        cannot be asked.
        """
        known = self._remembered.get(adapter)
        if known is not None and known[0] > self._clock():
            engine_id = known[1]
        else:
            engine_id = await asyncio.shield(self._ask(adapter))
        if engine_id is None:
            raise GatewayError(404, "adapter_not_found", f"There is no adapter {adapter!r}")
        return engine_id

    def _ask(self, adapter: str) -> asyncio.Task[str | None]:
        """One look-up for all who ask at the same time; it goes on if one of them leaves."""
        if adapter not in self._asking:
            try:
                reference = Reference.parse(adapter)
            except InvalidName as error:
                raise GatewayError.validation(f"`adapter_id`: {error}") from None
            task = asyncio.create_task(self._look_up(adapter, reference))
            self._asking[adapter] = task
            task.add_done_callback(lambda _: self._asking.pop(adapter))
        return self._asking[adapter]

    async def _look_up(self, adapter: str, reference: Reference) -> str | None:
        try:
            if reference.revision is None:
                engine_id = await self._current(reference.name)
            else:
                engine_id = await self._pinned(reference.name, reference.revision)
        except StoreError as error:
            raise GatewayError(503, "registry_unavailable", "The adapter store does not answer") from error
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[adapter] = (self._clock() + self._cache_seconds, engine_id)
        return engine_id

    async def _current(self, name: str) -> str | None:
        body = await self._store.read(registry_key(name))
        if body is None:
            return None
        try:
            revision = check_revision(name, RegistryEntry.from_json(body).revision)
        except (ValueError, KeyError, TypeError, InvalidName) as error:
            raise GatewayError(
                500, "registry_entry_invalid", f"The registry entry of adapter {name!r} is damaged"
            ) from error
        return adapter_prefix(name, revision)

    async def _pinned(self, name: str, revision: str) -> str | None:
        prefix = adapter_prefix(name, revision)
        return prefix if await self._store.exists(prefix + CONFIG_FILE) else None
