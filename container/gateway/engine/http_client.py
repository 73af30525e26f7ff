"""JSON client for an engine's HTTP port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from container.gateway.engine.connection import EnginePool, EngineResponse
from container.gateway.errors import GatewayError
from container.gateway.schemas.openai import Json

#: Time limit of a health check, in seconds.
HEALTH_SECONDS = 2.0


@dataclass(frozen=True)
class EngineAnswer:
    """A whole answer; `json` is empty if the body is not a JSON object."""

    status: int
    headers: Mapping[str, str]
    json: Json


class EngineHttp:
    """JSON requests to the engine; raise `GatewayError` if it cannot be reached."""

    def __init__(self, pool: EnginePool) -> None:
        """Send requests on the connections of `pool`."""
        self._pool = pool

    def open(self, path: str, body: Json) -> contextlib.AbstractAsyncContextManager[EngineResponse]:
        """POST `body`; the block reads the answer."""
        return self._pool.request("POST", path, encode(body))

    async def post(self, path: str, body: Json) -> EngineAnswer:
        """POST `body` and read the whole answer."""
        async with self.open(path, body) as response:
            return await read_answer(response)

    async def get(self, path: str) -> EngineAnswer:
        """GET a path and read the whole answer."""
        async with self._pool.request("GET", path) as response:
            return await read_answer(response)

    async def is_healthy(self) -> bool:
        """Return True if GET /health answers 200 within `HEALTH_SECONDS`."""
        try:
            async with asyncio.timeout(HEALTH_SECONDS), self._pool.request("GET", "/health") as response:
                await response.read()
                return response.status == HTTPStatus.OK
        except (GatewayError, TimeoutError):
            return False


def encode(body: Json) -> bytes:
    """Encode a body; raise `GatewayError` 422 for one that is nested too deeply for orjson."""
    try:
        return orjson.dumps(body)
    except TypeError:
        raise GatewayError.validation("the body must have fewer levels") from None


async def read_answer(response: EngineResponse) -> EngineAnswer:
    """Read the rest of an answer."""
    try:
        answer: Any = orjson.loads(await response.read())
    except ValueError:
        answer = {}
    return EngineAnswer(response.status, response.headers, answer if isinstance(answer, dict) else {})
