"""What the gateway needs of an engine, in the gateway's own terms."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Any, Protocol

from container.gateway.request_context import Usage
from container.gateway.schemas.lorax import GenerateRequest, Parameters
from container.gateway.schemas.openai import OpenAIRequest

#: A health check is answered within seconds or not at all.
HEALTH_SECONDS = 2.0
#: One JSON object as it goes to the caller: the answer, or one event of a stream.
Json = dict[str, Any]
Request = GenerateRequest | OpenAIRequest
#: What is generated to warm the engine up, to see whether it lives, and to have an adapter loaded.
ONE_TOKEN = GenerateRequest(inputs="Hello", parameters=Parameters(max_new_tokens=1))


class Backend(Protocol):
    """An engine's HTTP interface. `adapter` is an engine id, or None for the base model.

    All that generates raises `GatewayError`; a stream may do so before any of its events.
    """

    reads_to_end: bool
    """Whether a request that has reached the engine must be read to its end, though nobody waits for it."""

    async def generate(self, request: Request, adapter: str | None, usage: Usage) -> Json:
        """The whole answer, in the shape of the request's schema; `usage` is filled in."""
        ...

    def stream(self, request: Request, adapter: str | None, usage: Usage) -> AsyncGenerator[Json]:
        """The answer's events, in the shape of the request's schema; `usage` is filled in."""
        ...

    async def load(self, engine_id: str) -> None:
        """Have the engine fetch and load an adapter; returns when it can be used."""
        ...

    async def forget(self, engine_id: str) -> None:
        """Have the engine forget an adapter whose files are about to go. Never fails."""
        ...

    def files(self, engine_id: str) -> Path:
        """The directory where the engine keeps an adapter's files."""
        ...

    def leftovers(self) -> Iterable[Path]:
        """All adapter files that lie on the disk before the engine is started."""
        ...

    async def is_healthy(self) -> bool:
        """Whether the engine answers at all."""
        ...
