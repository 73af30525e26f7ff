"""The routes of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import traceback
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from container.gateway.backend import Backend, Json
from container.gateway.errors import GatewayError
from container.gateway.readiness import Readiness
from container.gateway.registry import Registry
from container.gateway.schema import GenerateRequest, read_request
from container.gateway.sse import encode_event

#: LoRAX's limit, the web framework's default there.
MAX_BODY_BYTES = 2 * 1024 * 1024
#: SageMaker gives up on InvokeEndpoint after 60 s; a caller gets a better answer just before.
ANSWER_SECONDS = 55.0
#: SageMaker's limit for InvokeEndpointWithResponseStream.
STREAM_SECONDS = 480.0

_log = logging.getLogger(__name__)


class Gateway:
    """One request contract in front of an engine."""

    def __init__(
        self,
        backend: Backend,
        registry: Registry,
        readiness: Readiness,
        *,
        max_new_tokens: int,
        max_concurrent_requests: int,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """`max_new_tokens` is the most that a request may ask for."""
        self._backend = backend
        self._registry = registry
        self._readiness = readiness
        self._max_new_tokens = max_new_tokens
        self._free_slots = max_concurrent_requests
        self._answer_seconds = answer_seconds

    def application(self) -> web.Application:
        """The web application; LoRAX's own routes are there for its clients' sake."""
        application = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_errors_as_json])
        application.add_routes(
            [
                web.get("/ping", self._ping),
                web.get("/health", self._ping),
                web.post("/invocations", self._invocations),
                web.post("/", self._invocations),
                web.post("/generate", self._generate),
                web.post("/generate_stream", self._generate_stream),
            ]
        )
        return application

    async def _ping(self, _: web.Request) -> web.Response:
        self._readiness.check()
        return web.Response()

    async def _invocations(self, http: web.Request) -> web.StreamResponse:
        with self._slot():
            request = await self._read(http)
            if request.stream:
                return await self._stream(http, request)
            return _json_response([await self._answer(request)])

    async def _generate(self, http: web.Request) -> web.StreamResponse:
        with self._slot():
            return _json_response(await self._answer(await self._read(http)))

    async def _generate_stream(self, http: web.Request) -> web.StreamResponse:
        with self._slot():
            return await self._stream(http, await self._read(http, stream=True))

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        self._readiness.check()
        if self._free_slots == 0:
            raise GatewayError(429, "overloaded", "Model is overloaded")
        self._free_slots -= 1
        try:
            yield
        finally:
            self._free_slots += 1

    async def _read(self, http: web.Request, *, stream: bool = False) -> GenerateRequest:
        kind = http.content_type
        if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
            raise GatewayError(415, "unsupported_media_type", "Send the request as application/json")
        return read_request(await http.read(), max_new_tokens=self._max_new_tokens, stream=stream)

    async def _answer(self, request: GenerateRequest) -> Json:
        async with asyncio.timeout(self._answer_seconds):
            return await self._backend.generate(request, await self._engine_id(request))

    async def _stream(self, http: web.Request, request: GenerateRequest) -> web.StreamResponse:
        response: web.StreamResponse | None = None
        try:
            async with asyncio.timeout(STREAM_SECONDS):
                adapter = await self._engine_id(request)
                async with contextlib.aclosing(self._backend.stream(request, adapter)) as events:
                    async for event in events:
                        # Only now, so that what goes wrong before the first token has a status.
                        response = response or await _begin_stream(http)
                        await response.write(encode_event(event))
        except ConnectionError:
            if response is None:
                raise
        except Exception as error:
            if response is None:
                raise
            await response.write(encode_event(_failure(error).body))
        if response is None:
            raise GatewayError(500, "incomplete_generation", "Incomplete generation")
        return response

    async def _engine_id(self, request: GenerateRequest) -> str | None:
        adapter = request.parameters.adapter
        return None if adapter is None else await self._registry.engine_id(adapter)


async def _begin_stream(http: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(http)
    return response


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        answer = GatewayError(413, "body_too_large", f"The request body is above {MAX_BODY_BYTES} bytes")
    except web.HTTPException as error:
        status = HTTPStatus(error.status)
        answer = GatewayError(
            status, status.name.lower(), f"{request.method} {request.path}: {status.phrase}"
        )
    except Exception as error:
        answer = _failure(error)
    headers = {"Retry-After": "1"} if answer.status == HTTPStatus.TOO_MANY_REQUESTS else None
    return _json_response(answer.body, status=answer.status, headers=headers)


def _failure(error: Exception) -> GatewayError:
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, TimeoutError):
        return GatewayError(504, "timeout", "No answer in time: ask for fewer tokens, or stream")
    # Only where it happened and what kind of error it was: its text may quote a prompt.
    frames = "".join(traceback.format_tb(error.__traceback__))
    _log.error("unexpected %s\n%s", type(error).__name__, frames)
    return GatewayError(500, "internal", "Internal error; the endpoint's log says where")


def _json_response(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=json.dumps(body, ensure_ascii=False).encode(),
        status=status,
        headers=headers,
        content_type="application/json",
    )
