"""The two clients that `benchmarks.engine_client` compares return the same for the same responses."""

import asyncio
import re

import pytest
import uvloop

from benchmarks.aiohttp_pool import AiohttpPool
from benchmarks.null_engine import NullEngine
from container.gateway.engine.connection import EnginePool
from container.gateway.engine.http_client import EngineHttp
from container.gateway.errors import GatewayError


async def ask(pool: EnginePool) -> list[object]:
    """Read a whole answer and a stream through a client, as the gateway does; return all that it returns."""
    client = EngineHttp(pool)
    answer = await client.post("/v1/completions", {"model": "m", "max_tokens": 3})
    found: list[object] = [answer.status, answer.headers.get("content-type"), answer.json]
    async with client.open("/v1/completions", {"model": "m", "max_tokens": 3, "stream": True}) as response:
        body = b"".join([chunk async for chunk in response.chunks()])
    # The time stamps in the events differ.
    return [*found, response.status, response.headers.get("content-type"), re.sub(rb'"\d+"', b'"time"', body)]


def test_they_give_the_same() -> None:
    async def scenario() -> None:
        server = await asyncio.get_running_loop().create_server(NullEngine, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        own, other = EnginePool("127.0.0.1", port), AiohttpPool("127.0.0.1", port)
        try:
            expected = await ask(own)
            assert expected[0] == 200
            assert str(expected[-1]).count("data: {") == 3
            assert await ask(other) == expected
        finally:
            own.close()
            server.close()
            await server.wait_closed()
        for pool in (own, other):
            with pytest.raises(GatewayError) as caught:
                await EngineHttp(pool).post("/v1/completions", {})
            assert caught.value.error_type == "engine_unavailable"
        await other.aclose()

    uvloop.run(asyncio.wait_for(scenario(), 20))
