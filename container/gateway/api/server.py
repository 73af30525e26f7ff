"""The routes of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from container.gateway.adapters.cache import AdapterCache
from container.gateway.adapters.registry import Adapter, Registry
from container.gateway.admission import Admission
from container.gateway.api.engine_task import Work
from container.gateway.engine.backend import Backend, Json, Request
from container.gateway.engine.readiness import EngineState, Readiness
from container.gateway.errors import INTERNAL, GatewayError
from container.gateway.request_context import Exchange, Phase
from container.gateway.schemas.lorax import GenerateRequest
from container.gateway.schemas.parsing import Read, Reader, read_json
from container.gateway.sse import END_EVENT, encode_event
from container.gateway.telemetry.access_log import AccessLog
from container.gateway.telemetry.adapter_metrics import Metrics
from container.gateway.telemetry.instance_metrics import StateMetrics

#: LoRAX's limit, the web framework's default there.
MAX_BODY_BYTES = 2 * 1024 * 1024
#: Seconds for a request's body to arrive; SageMaker sends it at once.
BODY_SECONDS = 10.0
#: SageMaker's limit for InvokeEndpointWithResponseStream is 480 s; the last event has to be there by then.
STREAM_SECONDS = 475.0
#: A caller's own id for a request, which SageMaker hands on.
_INFERENCE_ID = "X-Amzn-SageMaker-Inference-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+-]{1,64}")
#: What SageMaker gives back to the caller as `CustomAttributes`.
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_JSON = "application/json"

_log = logging.getLogger(__name__)


class Gateway:
    """One request contract in front of an engine."""

    def __init__(
        self,
        backend: Backend,
        registry: Registry,
        cache: AdapterCache,
        admission: Admission,
        readiness: Readiness,
        metrics: Metrics,
        state: StateMetrics,
        access_log: AccessLog,
        *,
        base_model: str,
        max_new_tokens: int,
        answer_seconds: float,
    ) -> None:
        """`answer_seconds` are for an answer that is not streamed, and for a stream's first event."""
        self._backend = backend
        self._registry = registry
        self._cache = cache
        self._admission = admission
        self._readiness = readiness
        self._metrics = metrics
        self._state = state
        self._access_log = access_log
        self._base_model = base_model
        self._reader = Reader(base_model=base_model, max_new_tokens=max_new_tokens)
        self._answer_seconds = answer_seconds
        self._deadlines: set[asyncio.Timeout] = set()

    def application(self) -> web.Application:
        """The web application: SageMaker's routes, and the native ones of the clients of both schemas."""
        application = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_errors_as_json])
        read = self._reader
        application.add_routes(
            [
                web.get("/ping", self._ping),
                web.get("/health", self._ping),
                web.get("/metrics", self._prometheus),
                web.get("/v1/models", self._models),
                web.post("/invocations", self._route(read.any)),
                web.post("/", self._route(read.any)),
                web.post("/generate", self._route(read.generate, bare=True)),
                web.post("/generate_stream", self._route(read.generate_stream)),
                web.post("/v1/chat/completions", self._route(read.chat)),
                web.post("/v1/completions", self._route(read.text)),
            ]
        )
        return application

    async def drain(self, seconds: float) -> None:
        """Take no more requests and let those under way finish; what is left then ends with an error."""
        self._readiness.state = EngineState.STOPPING
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._admission.wait_until_empty()
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(asyncio.get_running_loop().time())

    async def _ping(self, _: web.Request) -> web.Response:
        self._readiness.check()
        return web.Response()

    async def _prometheus(self, _: web.Request) -> web.Response:
        text = self._metrics.prometheus() + self._state.prometheus()
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _models(self, _: web.Request) -> web.Response:
        adapters = [
            {"id": each.key, "object": "model", "created": each.modified, "owned_by": "adapter-store",
             "parent": self._base_model}
            for each in await self._registry.names()
        ]  # fmt: skip
        base = {"id": self._base_model, "object": "model", "created": 0, "owned_by": "base-model"}
        return _json_response({"object": "list", "data": [base, *adapters]})

    def _route(
        self, read: Read, *, bare: bool = False
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler for requests that generate; `bare` answers with the object, not with a list of it."""

        async def handle(http: web.Request) -> web.StreamResponse:
            asked_id = http.headers.get(_INFERENCE_ID, "")
            exchange = Exchange(http.path)
            if _REQUEST_ID.fullmatch(asked_id):
                exchange.request_id = asked_id
            try:
                response = await self._serve(http, exchange, read, bare=bare)
            except (ConnectionError, asyncio.CancelledError):
                # nginx's status for a caller who has hung up.
                exchange.finish(499, "client_disconnected")
                raise
            except Exception as error:
                failure = self._failure(error, exchange)
                exchange.finish(failure.status, failure.error_type)
                response = _error_response(failure)
                response.headers[_ATTRIBUTES] = f"request={exchange.request_id}"
            finally:
                self._metrics.served(exchange)
                self._state.served(exchange)
                self._access_log.add(exchange)
            return response

        return handle

    async def _serve(
        self, http: web.Request, exchange: Exchange, read: Read, *, bare: bool
    ) -> web.StreamResponse:
        self._readiness.check()
        with self._admission.place():
            async with self._time_limit(self._answer_seconds) as deadline:
                request = read(read_json(await _body(http)))
                if request.stream:
                    exchange.stream = True
                    return await self._stream(http, request, exchange, deadline)
                answer = await self._answer(request, exchange)
        exchange.finish(HTTPStatus.OK)
        listed = isinstance(request, GenerateRequest) and not bare
        return _json_response([answer] if listed else answer, headers=_who_answered(exchange))

    async def _answer(self, request: Request, exchange: Exchange) -> Json:
        async def generate() -> Json:
            retried = False
            while True:
                async with self._turn(request, exchange) as adapter:
                    try:
                        answer = await self._backend.generate(request, _id(adapter), exchange.usage)
                    except GatewayError as error:
                        # An adapter that the engine has lost is loaded again, once, by a second `_turn`.
                        if retried or not self._lost(adapter, error):
                            raise
                        retried = True
                    else:
                        self._readiness.heard()
                        return answer

        work = Work(generate(), exchange, reads_to_end=self._backend.reads_to_end)
        answer: Json = await work.result()
        return answer

    async def _stream(
        self, http: web.Request, request: Request, exchange: Exchange, deadline: asyncio.Timeout
    ) -> web.StreamResponse:
        response: web.StreamResponse | None = None
        work = Work.events(self._events(request, exchange), exchange, reads_to_end=self._backend.reads_to_end)
        try:
            async with contextlib.aclosing(work) as events:
                async for event in events:
                    if response is None:
                        # Only now, so that what goes wrong before the first token has a status.
                        response = await _begin_stream(http, exchange)
                        if self._readiness.state is not EngineState.STOPPING:
                            left = STREAM_SECONDS - exchange.seconds
                            deadline.reschedule(asyncio.get_running_loop().time() + left)
                    exchange.heard()
                    await response.write(encode_event(event))
        except GatewayError as error:
            if response is None:
                raise
            failure = error
        except asyncio.CancelledError:
            if response is None or not deadline.expired():
                raise
            failure = self._failure(TimeoutError(), exchange)
        else:
            if response is None:
                raise GatewayError.incomplete()
            if not isinstance(request, GenerateRequest):
                await response.write(END_EVENT)
            exchange.finish(HTTPStatus.OK)
            return response
        exchange.finish(failure.status, failure.error_type)
        await response.write(encode_event(failure.body))
        return response

    async def _events(self, request: Request, exchange: Exchange) -> AsyncGenerator[Json]:
        begun = retried = False
        while True:
            async with self._turn(request, exchange) as adapter:
                answer = self._backend.stream(request, _id(adapter), exchange.usage)
                try:
                    async with contextlib.aclosing(answer) as events:
                        async for event in events:
                            begun = True
                            self._readiness.heard()
                            yield event
                except GatewayError as error:
                    # As in `_answer`, but not once the client has a part of the answer.
                    if begun or retried or not self._lost(adapter, error):
                        raise
                    retried = True
                else:
                    return

    @contextlib.asynccontextmanager
    async def _turn(self, request: Request, exchange: Exchange) -> AsyncIterator[Adapter | None]:
        """The request's adapter, which is loaded, and a turn at the engine."""
        if request.adapter is None:
            exchange.base_model = True
            async with self._admission.turn(exchange):
                yield None
            return
        exchange.enter(Phase.REGISTRY)
        adapter = await self._registry.resolve(request.adapter)
        exchange.adapter, exchange.revision = adapter.name, adapter.revision
        async with self._cache.keep(adapter, exchange), self._admission.turn(exchange):
            yield adapter

    def _lost(self, adapter: Adapter | None, error: GatewayError) -> bool:
        """Whether the engine could not use an adapter that it had loaded: then it is loaded again, once."""
        if adapter is None or not error.is_of_adapter:
            return False
        self._cache.lost(adapter)
        return True

    @contextlib.asynccontextmanager
    async def _time_limit(self, seconds: float) -> AsyncIterator[asyncio.Timeout]:
        """A limit that `drain` can bring forward."""
        async with asyncio.timeout(seconds) as deadline:
            self._deadlines.add(deadline)
            try:
                yield deadline
            finally:
                self._deadlines.discard(deadline)

    def _failure(self, error: Exception, exchange: Exchange) -> GatewayError:
        if isinstance(error, GatewayError):
            if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                # The gateway's own words, so no prompt is in them.
                _log.error("request %s: %s: %s", exchange.request_id, error.error_type, error.message)
            return error
        if isinstance(error, TimeoutError):
            if self._readiness.state is EngineState.STOPPING:
                return GatewayError(503, "stopping", "The container is being stopped", retry_after_seconds=1)
            return GatewayError(
                504,
                "timeout",
                f"No answer after {exchange.seconds:.0f} s, waiting for {exchange.phase.value}: "
                "ask for fewer tokens, stream, or try again",
            )
        # Only where it happened and what kind of error it was: its text may quote a prompt.
        frames = "".join(traceback.format_tb(error.__traceback__))
        _log.error("unexpected %s\n%s", type(error).__name__, frames)
        return INTERNAL


def _id(adapter: Adapter | None) -> str | None:
    return None if adapter is None else adapter.engine_id


async def _body(http: web.Request) -> bytes:
    kind = http.content_type
    if kind != _JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        raise GatewayError(415, "unsupported_media_type", "Send the request as application/json")
    if http.headers.get("Content-Encoding", "identity") != "identity":
        # A small body may become one that keeps everybody waiting.
        raise GatewayError(415, "unsupported_media_type", "Send the request without Content-Encoding")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await http.read()
    except TimeoutError:
        raise GatewayError(408, "request_timeout", "The request body does not arrive") from None
    except web.HTTPRequestEntityTooLarge:
        raise GatewayError(
            413, "body_too_large", f"The request body is above {MAX_BODY_BYTES} bytes"
        ) from None


async def _begin_stream(http: web.Request, exchange: Exchange) -> web.StreamResponse:
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"} | _who_answered(exchange)
    response = web.StreamResponse(headers=headers)
    await response.prepare(http)
    return response


def _who_answered(exchange: Exchange) -> dict[str, str]:
    """The header by which a caller learns the revision that answered, and the id to ask on-call about."""
    adapter = f"adapter={exchange.adapter}@{exchange.revision};" if exchange.adapter else ""
    return {_ATTRIBUTES: f"{adapter}request={exchange.request_id}"}


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except GatewayError as error:
        return _error_response(error)
    except web.HTTPException as error:
        status = HTTPStatus(error.status)
        return _error_response(
            GatewayError(status, status.name.lower(), f"{request.method} {request.path}: {status.phrase}")
        )


def _error_response(error: GatewayError) -> web.Response:
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return _json_response(error.body, status=error.status, headers=headers)


def _json_response(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, headers=headers, content_type=_JSON)
