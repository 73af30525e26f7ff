"""Engine connections on aiohttp's client: the alternative that `benchmarks.engine_client` measures.

Features that the gateway does not need are off: the limit of connections, cookies, default headers.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

import aiohttp

from container.gateway.engine.connection import CONNECT_SECONDS, IDLE_SECONDS, EnginePool, EngineResponse
from container.gateway.errors import GatewayError

_SKIPPED = ("User-Agent", "Accept", "Accept-Encoding")
_JSON = {"Content-Type": "application/json"}


class AiohttpResponse(EngineResponse):
    """An engine response read from aiohttp's response."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        """Wrap a response whose headers have arrived."""
        self.status = response.status
        # This mapping compares names case-insensitively.
        self.headers: Mapping[str, str] = response.headers
        self._response = response

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except aiohttp.ClientError as error:
            raise GatewayError.unreachable() from error

    async def read(self) -> bytes:
        """Return the whole body."""
        try:
            return await self._response.read()
        except aiohttp.ClientError as error:
            raise GatewayError.unreachable() from error


class AiohttpPool(EnginePool):
    """A pool of engine connections on aiohttp's session."""

    def __init__(self, host: str, port: int) -> None:
        """Open a session; needs a running event loop."""
        super().__init__(host, port)
        self._url = f"http://{host}:{port}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SKIPPED,
            auto_decompress=False,
        )

    @contextlib.asynccontextmanager
    async def request(self, method: str, path: str, body: bytes = b"") -> AsyncIterator[EngineResponse]:
        """Send a request and yield the response once its headers have arrived."""
        try:
            async with self._session.request(method, self._url + path, data=body, headers=_JSON) as response:
                yield AiohttpResponse(response)
        except aiohttp.ClientError as error:
            raise GatewayError.unreachable() from error

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()
