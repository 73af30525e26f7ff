"""The interface of an engine: how it is started, and the calls that the gateway makes to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from container.gateway.adapters.residency import Residency
from container.gateway.engine.connection import EnginePool
from container.gateway.proof.conditions import EngineFacts
from container.gateway.proof.probe import Probe
from container.gateway.request_context import Usage
from container.gateway.schemas.openai import Json, Request


class Backend(Protocol):
    """An engine's HTTP interface. `adapter` is an engine id, or None for the base model.

    Methods that generate raise `GatewayError`; a stream may raise it before its first event.
    """

    reads_to_end: bool
    """True if a request that has reached the engine must be read to its end after a client disconnect."""

    async def generate(self, request: Request, adapter: str | None, usage: Usage) -> Json:
        """Return the whole answer in the shape of the request's schema; fill in `usage`."""
        ...

    def stream(self, request: Request, adapter: str | None, usage: Usage) -> AsyncGenerator[bytes]:
        """Yield the answer's events in the shape of the request's schema; fill in `usage`.

        They are encoded, and those that the engine sent together are yielded together.
        """
        ...

    async def load(self, engine_id: str) -> Probe:
        """Have the engine fetch and load an adapter, and return its probe; then it can be used."""
        ...

    async def probe(self, adapter: str | None) -> Probe:
        """Return the probe of a loaded adapter or of the base model, computed now."""
        ...

    async def facts(self) -> EngineFacts:
        """Return what the running engine reports of itself."""
        ...

    async def unload(self, engine_id: str) -> bool:
        """Have the engine free the memory of an adapter whose files are about to be removed. Never raises.

        Returns False if it still needs the files, for a request whose client has disconnected.
        """
        ...

    async def pin(self, engine_id: str) -> bool:
        """Have the engine keep a loaded adapter in its memory until it is unloaded. Never raises.

        Returns False if the engine cannot, or if as many are pinned as may be.
        """
        ...

    async def residency(self) -> Residency | None:
        """Return which adapters are in the engine's memory; None if it does not report that, or not now."""
        ...

    def files(self, engine_id: str) -> Path:
        """Return the directory where the engine keeps an adapter's files."""
        ...

    def files_at_start(self) -> Iterable[Path]:
        """Return the adapter files that are on the disk before the engine starts."""
        ...

    async def is_healthy(self) -> bool:
        """Return whether the engine answers a health check."""
        ...


@dataclass(frozen=True)
class EngineLaunch:
    """An engine's command line, its whole environment, and the factory of its backend."""

    command: tuple[str, ...]
    environment: dict[str, str]
    connect: Callable[[EnginePool], Backend]
