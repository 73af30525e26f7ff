"""What the gateway needs of an engine, in the gateway's own terms."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

import aiohttp

from container.gateway.schema import GenerateRequest

#: A health check is answered within seconds or not at all.
HEALTH_TIMEOUT = aiohttp.ClientTimeout(total=2)
#: One JSON object as it goes to the caller: the answer, or one event of a stream.
Json = dict[str, Any]


class Backend(Protocol):
    """An engine's HTTP interface. `adapter` is an engine id, or None for the base model.

    Both ways to generate raise `GatewayError`; a stream may do so before any of its events.
    """

    async def generate(self, request: GenerateRequest, adapter: str | None) -> Json:
        """The whole answer: `generated_text`, and `details` if they were asked for."""
        ...

    def stream(self, request: GenerateRequest, adapter: str | None) -> AsyncGenerator[Json]:
        """The answer's events, one for each token; the last one carries the whole text."""
        ...

    async def is_healthy(self) -> bool:
        """Whether the engine answers at all."""
        ...
