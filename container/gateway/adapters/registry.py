"""From the name that a caller writes to one immutable revision in the adapter store."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.errors import InvalidName
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

#: Characters of what is wrong with a name, which is quoted there.
MAX_MESSAGE = 300
#: Names without an adapter that are remembered.
MAX_UNKNOWN = 10_000
#: Seconds for which a caller waits for a store that is slow or down where an older answer is at hand.
PATIENCE_SECONDS = 1.0
#: Seconds for which an older answer is good enough while the store does not give a newer one.
STALE_SECONDS = 300.0

_log = logging.getLogger(__name__)


class StoreError(Exception):
    """The adapter store could not be asked."""


@dataclass(frozen=True)
class Listed:
    """One object of a listing; `modified` is a Unix time."""

    key: str
    modified: int


class ObjectStore(Protocol):
    """The questions that are put to the adapter bucket; all raise `StoreError`."""

    async def read(self, key: str) -> bytes | None:
        """An object's content, None if there is no such object."""
        ...

    async def size(self, key: str) -> int | None:
        """An object's bytes, None if there is no such object."""
        ...

    async def list(self, prefix: str) -> Sequence[Listed]:
        """All objects below a prefix."""
        ...


@dataclass(frozen=True)
class Adapter:
    """One revision of one registered name."""

    name: str
    revision: str
    size: int
    """Bytes of the weights."""
    rank: int | None = None
    """None for a revision that is not the current one: only the registry entry tells it."""

    @property
    def engine_id(self) -> str:
        """What the engine knows it by."""
        return adapter_prefix(self.name, self.revision)


@dataclass
class _Answer:
    adapter: Adapter | None
    asked_at: float
    good_until: float
    is_stale: bool = False
    """Whether the store was asked for a newer one in vain."""


class Registry:
    """Looks adapters up; remembers each answer, also "unknown", for a few seconds."""

    def __init__(
        self, store: ObjectStore, *, cache_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` gives seconds. What is published is served after `cache_seconds` at the latest."""
        self._store = store
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._remembered: dict[str, _Answer] = {}
        # What is unknown is remembered apart: callers can make up names without end.
        self._unknown: dict[str, _Answer] = {}
        self._asking: dict[str, asyncio.Task[Any]] = {}
        self._names: tuple[float, Sequence[Listed]] | None = None
        #: Answers given although the store had been asked for newer ones in vain, and questions to it that
        #: failed, since the start.
        self.stale_answers = 0
        self.errors = 0

    async def resolve(self, reference: str) -> Adapter:
        """The adapter that `name` or `name@revision` stands for.

        Raises `GatewayError`: 422 if it cannot be a name, 404 if it is unknown, 503 if the store cannot
        be asked. While the store does not answer, what it said last is used for a while.
        """
        known = self._remembered.get(reference) or self._unknown.get(reference)
        if known is None:
            known = await self._ask(reference)
        elif known.good_until <= self._clock():
            # There is nothing to fall back on where the name was unknown, or the answer is too old.
            usable = known.adapter is not None and self._clock() - known.asked_at <= STALE_SECONDS
            known = await (self._ask_again(reference, known) if usable else self._ask(reference))
        if known.adapter is None:
            raise GatewayError(404, "adapter_not_found", f"There is no adapter {reference!r}")
        self.stale_answers += known.is_stale
        return known.adapter

    async def names(self) -> Sequence[Listed]:
        """The registered names, in order; `Listed.key` is the name.

        Raises `GatewayError` 503 if the store cannot be asked.
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
        try:
            parsed = Reference.parse(reference)
        except InvalidName as error:
            raise GatewayError.validation(f"`adapter_id`: {str(error)[:MAX_MESSAGE]}") from None
        # It goes on if the one who asked first leaves: others may wait for it.
        answer: _Answer = await asyncio.shield(
            self._once(reference, lambda: self._look_up(reference, parsed))
        )
        return answer

    async def _ask_again(self, reference: str, known: _Answer) -> _Answer:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._ask(reference)
        except (GatewayError, TimeoutError) as error:
            # Not asked again by every request, each of which would have to wait; a late answer counts anyway.
            known.good_until = self._clock() + self._cache_seconds
            known.is_stale = True
            _log.warning(
                "adapter %s: what the store said before is used: %s", reference, str(error) or "it is slow"
            )
            return known

    def _once(self, what: str, ask: Callable[[], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any]:
        """One question for all who ask the same at the same time."""
        if what not in self._asking:
            task = asyncio.create_task(ask())
            self._asking[what] = task
            task.add_done_callback(lambda _: self._asking.pop(what))
            task.add_done_callback(self._count_error)
        return self._asking[what]

    def _count_error(self, task: asyncio.Task[Any]) -> None:
        # This also looks at the error, of which asyncio complains if nobody does.
        self.errors += not task.cancelled() and task.exception() is not None

    async def _look_up(self, reference: str, parsed: Reference) -> _Answer:
        asked_at = self._clock()
        try:
            adapter = await self._find(parsed)
        except StoreError as error:
            raise _unavailable(error) from error
        # The age of an answer counts from the question: the store may have changed just after it.
        answer = _Answer(adapter, asked_at, asked_at + self._cache_seconds)
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
            # An earlier revision of a removed name is not served either.
            return None
        current = _read(reference.name, body)
        if reference.revision in (None, current.revision):
            return current
        prefix = adapter_prefix(reference.name, reference.revision)
        if await self._store.size(prefix + CONFIG_FILE) is None:
            return None
        size = await self._store.size(prefix + WEIGHTS_FILE)
        return None if size is None else Adapter(reference.name, reference.revision, size)


def _read(name: str, body: bytes) -> Adapter:
    try:
        entry = RegistryEntry.from_json(body)
    except UnreadableEntry as error:
        raise GatewayError(
            500, "registry_entry_invalid", f"The registry entry of adapter {name!r} is damaged"
        ) from error
    return Adapter(name, entry.revision, entry.size, entry.rank)


def _unavailable(error: Exception) -> GatewayError:
    _log.warning("the adapter store cannot be asked: %s", error)
    return GatewayError(
        503, "registry_unavailable", "The adapter store does not answer", retry_after_seconds=5
    )
