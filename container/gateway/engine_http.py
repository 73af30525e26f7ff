"""How both engines are spoken to: JSON over HTTP on loopback, and what can go wrong with that."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from container.gateway.backend import HEALTH_TIMEOUT, Json
from container.gateway.errors import GatewayError

_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class EngineAnswer:
    """A whole answer; `json` is empty where the body is no JSON object."""

    status: int
    headers: Mapping[str, str]
    json: Json


class EngineHttp:
    """Requests to the engine's port. An engine that cannot be reached is a `GatewayError`."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        """`base_url` has no slash at its end."""
        self._session = session
        self._base_url = base_url

    @contextlib.asynccontextmanager
    async def open(self, path: str, body: Json) -> AsyncIterator[aiohttp.ClientResponse]:
        """POST `body`; the answer's body is read in the block."""
        data = encode(body)
        try:
            async with self._session.post(self._base_url + path, data=data, headers=_JSON) as response:
                yield response
        except aiohttp.ClientError as error:
            raise GatewayError.unreachable() from error

    async def post(self, path: str, body: Json) -> EngineAnswer:
        """POST `body` and read the whole answer."""
        async with self.open(path, body) as response:
            return await read_answer(response)

    async def is_healthy(self) -> bool:
        """Whether GET /health says so."""
        try:
            async with self._session.get(f"{self._base_url}/health", timeout=HEALTH_TIMEOUT) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


def encode(body: Json) -> bytes:
    """A body as it is sent; raises `GatewayError` 422 for what is nested deeper than orjson goes."""
    try:
        return orjson.dumps(body)
    except TypeError:
        raise GatewayError.validation("the body is nested too deeply") from None


async def read_answer(response: aiohttp.ClientResponse) -> EngineAnswer:
    """Read what is left of an answer."""
    try:
        answer: Any = orjson.loads(await response.read())
    except ValueError:
        answer = {}
    return EngineAnswer(response.status, response.headers, answer if isinstance(answer, dict) else {})
