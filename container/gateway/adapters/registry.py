"""Resolution of an adapter's name to an immutable revision, through the registry in the adapter store."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from adapters.limits import PINNED, PINNED_LABEL, TENANT_LABEL, UNLIMITED, Limits
from adapters.names import Reference
from adapters.store.layout import (
    CONFIG_FILE,
    REGISTRY_PREFIX,
    WEIGHTS_FILE,
    RegistryEntry,
    UnreadableEntry,
    adapter_prefix,
    registered_name,
    registry_key,
)
from container.gateway.errors import GatewayError

#: Maximum number of unknown names in the cache.
MAX_UNKNOWN = 10_000
#: Seconds that a request waits for a slow or failed store if an expired answer is in the cache.
PATIENCE_SECONDS = 1.0
#: Maximum age in seconds of an answer that is used while the store fails.
STALE_SECONDS = 300.0
#: Part of its time after which an answer in use is renewed in the background. An adapter that is asked for in
#: the rest of that time has no request that waits for the store.
RENEWED_AFTER = 0.8

_log = logging.getLogger(__name__)


class StoreError(Exception):
    """A request to the adapter store failed."""


@dataclass(frozen=True)
class Listed:
    """One object of a listing; `modified` is a Unix time."""

    key: str
    modified: int


class ObjectStore(Protocol):
    """Access to the adapter bucket; each method raises `StoreError`."""

    async def read(self, key: str) -> bytes | None:
        """Return an object's content, None if it does not exist."""
        ...

    async def size(self, key: str) -> int | None:
        """Return an object's size in bytes, None if it does not exist."""
        ...

    async def list(self, prefix: str) -> Sequence[Listed]:
        """Return all objects under a prefix."""
        ...

    async def write(self, key: str, body: bytes) -> None:
        """Write an object, over an existing one."""
        ...

    async def create(self, key: str, body: bytes) -> bool:
        """Write an object; return False, and change nothing, if it exists."""
        ...


@dataclass(frozen=True)
class Adapter:
    """One revision of one registered name."""

    name: str
    revision: str
    size: int
    """Bytes of the weights."""
    rank: int | None = None
    """None for a revision that is not the current one: only the registry entry has it."""
    tenant: str | None = None
    """Tenant that it belongs to; None if no label names one."""
    pinned: bool = False
    """True if it stays in the engine's memory."""
    limits: Limits = UNLIMITED
    tenant_limits: Limits = UNLIMITED

    @property
    def engine_id(self) -> str:
        """The adapter's name at the engine."""
        return adapter_prefix(self.name, self.revision)


@dataclass
class _Answer:
    adapter: Adapter | None
    asked_at: float
    good_until: float
    is_stale: bool = False
    """True after a failed attempt to refresh it."""
    is_being_renewed: bool = False
    """True once it was asked for again before its end: a store that fails is not asked by each request."""


class RegistryReader:
    """Cached read access to the registry; unknown names are cached, too."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        cache_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        on_replaced: Callable[[Adapter], None] = lambda _: None,
    ) -> None:
        """`clock` returns seconds. A published revision is served after at most `cache_seconds`.

        `on_replaced` is called with an adapter that a name no longer resolves to, or that is pinned no more.
        """
        self._store = store
        self._on_replaced = on_replaced
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._remembered: dict[str, _Answer] = {}
        # Unknown names have a separate, bounded cache: clients can invent any number of them.
        self._unknown: dict[str, _Answer] = {}
        self._asking: dict[str, asyncio.Task[Any]] = {}
        self._names: tuple[float, Sequence[Listed]] | None = None
        #: Since the start: expired answers used because the store failed, and failed requests to it.
        self.stale_answers = 0
        self.errors = 0

    async def resolve(self, reference: str) -> Adapter:
        """Return the adapter that `name` or `name@revision` refers to.

        Raises `InvalidName` if no adapter can have that name, `GatewayError` 404 if it is unknown, 503 if the
        store fails.
        While the store fails, an expired answer is used for up to `STALE_SECONDS`.
        """
        known = self._remembered.get(reference) or self._unknown.get(reference)
        if known is None:
            known = await self._ask(reference)
        elif known.good_until <= self._clock():
            # There is no fallback if the name was unknown, or the answer is too old.
            usable = known.adapter is not None and self._clock() - known.asked_at <= STALE_SECONDS
            known = await (self._ask_again(reference, known) if usable else self._ask(reference))
        elif known.adapter is not None:
            self._renew(reference, known)
        if known.adapter is None:
            raise _unknown(reference)
        self.stale_answers += known.is_stale
        return known.adapter

    async def refresh(self, name: str) -> Adapter:
        """Look a name up now; raises as `resolve` does, but never uses an earlier answer."""
        found = (await self._ask(name)).adapter
        if found is None:
            raise _unknown(name)
        return found

    async def names(self) -> Sequence[Listed]:
        """Return the registered names, sorted; `Listed.key` is the name.

        Raises `GatewayError` 503 if the store fails.
        """
        if self._names is None or self._names[0] <= self._clock():
            await asyncio.shield(self._once(REGISTRY_PREFIX, self._list))
        assert self._names is not None  # noqa: S101 — just listed
        return self._names[1]

    async def _list(self) -> None:
        try:
            found = await self._store.list(REGISTRY_PREFIX)
        except StoreError as error:
            raise _unavailable(error) from error
        names = [
            Listed(registered_name(each.key), each.modified) for each in found if each.key.endswith(".json")
        ]
        self._names = (self._clock() + self._cache_seconds, sorted(names, key=lambda each: each.key))

    async def _ask(self, reference: str) -> _Answer:
        parsed = Reference.parse(reference)
        # A client disconnect does not cancel it: other requests may wait for it.
        answer: _Answer = await asyncio.shield(
            self._once(reference, lambda: self._look_up(reference, parsed))
        )
        return answer

    def _renew(self, reference: str, known: _Answer) -> None:
        """Ask in the background for an answer that ends soon; if that fails, a request asks after its end."""
        left = known.good_until - self._clock()
        if not known.is_being_renewed and left <= (1 - RENEWED_AFTER) * self._cache_seconds:
            known.is_being_renewed = True
            parsed = Reference.parse(reference)
            self._once(reference, lambda: self._look_up(reference, parsed))

    async def _ask_again(self, reference: str, known: _Answer) -> _Answer:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._ask(reference)
        except (GatewayError, TimeoutError) as error:
            # So that not every request waits for the store; a late answer still updates the cache.
            known.good_until = self._clock() + self._cache_seconds
            known.is_stale = True
            known.is_being_renewed = False
            _log.warning(
                "adapter %s: what the store said before is used: %s", reference, str(error) or "it is slow"
            )
            return known

    def _once(self, key: str, ask: Callable[[], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any]:
        """Return the task of a lookup; concurrent requests for the same `key` share one."""
        if key not in self._asking:
            task = asyncio.create_task(ask())
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key))
            task.add_done_callback(self._count_error)
        return self._asking[key]

    def _count_error(self, task: asyncio.Task[Any]) -> None:
        # Retrieves the exception, too: asyncio logs one that nothing has retrieved.
        self.errors += not task.cancelled() and task.exception() is not None

    async def _look_up(self, reference: str, parsed: Reference) -> _Answer:
        asked_at = self._clock()
        try:
            adapter = await self._find(parsed)
        except StoreError as error:
            raise _unavailable(error) from error
        # The age counts from the request: the store may have changed just after it.
        answer = _Answer(adapter, asked_at, asked_at + self._cache_seconds)
        known = self._remembered.get(reference)
        before = None if known is None else known.adapter
        if before is not None and (
            adapter is None or adapter.engine_id != before.engine_id or (before.pinned and not adapter.pinned)
        ):
            self._on_replaced(before)
        if adapter is None:
            if len(self._unknown) >= MAX_UNKNOWN:
                self._unknown.clear()
            self._unknown[reference] = answer
            self._remembered.pop(reference, None)
        else:
            self._remembered[reference] = answer
            self._unknown.pop(reference, None)
        return answer

    async def _find(self, reference: Reference) -> Adapter | None:
        body = await self._store.read(registry_key(reference.name))
        if body is None:
            # Earlier revisions of a removed name are not served either.
            return None
        current = _read(reference.name, body)
        if reference.revision in (None, current.revision):
            return current
        prefix = adapter_prefix(reference.name, reference.revision)
        if await self._store.size(prefix + CONFIG_FILE) is None:
            return None
        size = await self._store.size(prefix + WEIGHTS_FILE)
        if size is None:
            return None
        return replace(current, revision=reference.revision, size=size, rank=None, pinned=False)


def _read(name: str, body: bytes) -> Adapter:
    try:
        entry = RegistryEntry.from_json(body)
    except UnreadableEntry as error:
        raise GatewayError(
            500,
            "registry_entry_invalid",
            f"The registry entry of adapter {name!r} is damaged: publish it again",
        ) from error
    return Adapter(
        name,
        entry.revision,
        entry.size,
        entry.rank,
        tenant=entry.labels.get(TENANT_LABEL),
        pinned=entry.labels.get(PINNED_LABEL) == PINNED,
        limits=Limits.from_dict(entry.limits),
        tenant_limits=Limits.from_dict(entry.tenant_limits),
    )


def _unknown(reference: str) -> GatewayError:
    return GatewayError(
        404,
        "adapter_not_found",
        f"There is no adapter {reference!r}: correct the name, or publish the adapter",
    )


def _unavailable(error: Exception) -> GatewayError:
    _log.warning("the adapter store cannot be asked: %s", error)
    return GatewayError(
        503,
        "registry_unavailable",
        "The adapter store does not answer: try again later",
        retry_after_seconds=5,
    )
