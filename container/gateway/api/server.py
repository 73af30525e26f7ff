"""HTTP routes of the gateway, and the life of a request from its body to the last event of its answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from adapters.errors import InvalidName
from adapters.store.layout import name_of
from container.gateway.adapters.cache import AdapterCache
from container.gateway.adapters.registry import Adapter, RegistryReader
from container.gateway.admission import Admission
from container.gateway.api.engine_task import EngineTask
from container.gateway.api.selection import CUSTOM_ATTRIBUTES, check_selection
from container.gateway.engine.backend import Backend
from container.gateway.engine.readiness import EngineState, Readiness
from container.gateway.errors import INTERNAL, GatewayError
from container.gateway.request_context import Phase, RequestContext
from container.gateway.scheduling.tokens import estimated_tokens
from container.gateway.schemas.adapter_names import shortened
from container.gateway.schemas.lorax import GenerateRequest
from container.gateway.schemas.openai import Json, Request
from container.gateway.schemas.parsing import Read, Reader, read_json
from container.gateway.sse import END_EVENT, encode_event
from container.gateway.telemetry.telemetry import Telemetry

#: LoRAX's limit, the web framework's default there.
MAX_BODY_BYTES = 2 * 1024 * 1024
#: Seconds for a request's body to arrive; SageMaker sends it at once.
BODY_SECONDS = 10.0
#: SageMaker's limit for InvokeEndpointWithResponseStream is 480 s, the last event included.
STREAM_SECONDS = 475.0
#: The header in which SageMaker passes on `InferenceId`, the client's id of a request.
_INFERENCE_ID = "X-Amzn-SageMaker-Inference-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+-]{1,64}")
_JSON = "application/json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RequestLimits:
    """Limits of a request."""

    max_new_tokens: int
    """The largest number of tokens that a request may ask for."""
    default_new_tokens: int
    """The number of a request that does not say it."""
    answer_seconds: float
    """Time limit of an answer that is not streamed, and of a stream's first event."""


class Gateway:
    """The HTTP API in front of an engine: one request contract for both engines.

    A request passes these methods. The docstring of each begins with the request's state:

    handle (in `_route`)    received   the telemetry records its result
    `_serve`                admitted   the time limit runs; the body is read and checked
    `_answer`, `_stream`    admitted   runs `_generate` or `_events`, in an `EngineTask` if the engine's
                                       answers must be read to their end
    `_engine_slot`          resolving, limited, loading, queued: see `Admission` and `AdapterCache`
    `_generate`, `_events`  at engine  an adapter that the engine has lost is loaded again, once
    """

    def __init__(
        self,
        backend: Backend,
        registry: RegistryReader,
        cache: AdapterCache,
        admission: Admission,
        readiness: Readiness,
        telemetry: Telemetry,
        *,
        base_model: str,
        limits: RequestLimits,
    ) -> None:
        """`base_model` is the name under which clients may ask for the base model."""
        self._backend = backend
        self._registry = registry
        self._cache = cache
        self._admission = admission
        self._readiness = readiness
        self._telemetry = telemetry
        self._base_model = base_model
        self._reader = Reader(base_model=base_model, max_new_tokens=limits.max_new_tokens)
        self._limits = limits
        self._deadlines: set[asyncio.Timeout] = set()

    def application(self) -> web.Application:
        """Return the web application: SageMaker's routes, and the native routes of both schemas."""
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
        """Refuse new requests and wait for those in flight; time out what is left after `seconds`."""
        self._readiness.stop()
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
        await self._telemetry.ask_engine()
        text = self._telemetry.prometheus()
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _models(self, _: web.Request) -> web.Response:
        await self._telemetry.ask_engine()
        resident = self._tiers()
        adapters = [
            {"id": each.key, "object": "model", "created": each.modified, "owned_by": "adapter-store",
             "parent": self._base_model, "resident": resident.get(each.key)}
            for each in await self._registry.names()
        ]  # fmt: skip
        base = {"id": self._base_model, "object": "model", "created": 0, "owned_by": "base-model"}
        return _json_response({"object": "list", "data": [base, *adapters]})

    def _tiers(self) -> dict[str, str]:
        """Return the fastest tier in which each name has a revision on this instance."""
        tiers = dict.fromkeys(self._cache.names, "disk")
        if report := self._telemetry.residency.latest:
            tiers |= dict.fromkeys(map(name_of, report.memory), "memory")
            tiers |= dict.fromkeys(map(name_of, report.slots), "slot")
        return tiers

    def _route(
        self, read: Read, *, bare: bool = False
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return a handler for requests that generate; `bare`: the answer is the object, not a list of it."""

        async def handle(http: web.Request) -> web.StreamResponse:
            # Received: neither readiness nor admission has been checked.
            client_id = http.headers.get(_INFERENCE_ID, "")
            context = RequestContext(http.path)
            if _REQUEST_ID.fullmatch(client_id):
                context.request_id = client_id
            try:
                response = await self._serve(http, context, read, bare=bare)
            except (ConnectionError, asyncio.CancelledError):
                # nginx's status for a client that has disconnected.
                context.finish(499, "client_disconnected")
                raise
            except Exception as error:
                failure = self._failure(error, context)
                context.finish(failure.status, failure.error_type)
                response = _error_response(failure)
                response.headers[CUSTOM_ATTRIBUTES] = f"request={context.request_id}"
            finally:
                self._telemetry.served(context)
            return response

        return handle

    async def _serve(
        self, http: web.Request, context: RequestContext, read: Read, *, bare: bool
    ) -> web.StreamResponse:
        """Received, then admitted: read and check the body, then answer within the time limit."""
        self._readiness.check()
        with self._admission.admit():
            async with self._time_limit(self._limits.answer_seconds) as deadline:
                request = read(read_json(await _body(http)))
                check_selection(http, request, base_model=self._base_model)
                context.tokens = estimated_tokens(request, self._limits.default_new_tokens)
                if request.stream:
                    context.stream = True
                    return await self._stream(http, request, context, deadline)
                answer = await self._answer(request, context)
                self._readiness.check_answer()
        context.finish(HTTPStatus.OK)
        listed = isinstance(request, GenerateRequest) and not bare
        return _json_response([answer] if listed else answer, headers=_attributes(context))

    async def _answer(self, request: Request, context: RequestContext) -> Json:
        """Admitted, body checked: wait for the whole answer."""
        call = self._generate(request, context)
        if not self._backend.reads_to_end:
            return await call
        answer: Json = await EngineTask(call, context).result()
        return answer

    async def _stream(
        self, http: web.Request, request: Request, context: RequestContext, deadline: asyncio.Timeout
    ) -> web.StreamResponse:
        """Admitted, body checked: pass on the events as they come."""
        source = self._events(request, context)
        events = EngineTask.events(source, context) if self._backend.reads_to_end else source
        async with contextlib.aclosing(events):
            # Nothing is sent before the first event: an error is raised and becomes an answer with a status.
            first = await anext(events, None)
            if first is None:
                raise GatewayError.incomplete()
            response = await _begin_stream(http, context)
            # From here on the status 200 is sent: an error can only be the last event.
            if self._readiness.state is not EngineState.STOPPING:
                left = STREAM_SECONDS - context.seconds
                deadline.reschedule(asyncio.get_running_loop().time() + left)
            try:
                context.saw_token()
                self._readiness.check_answer()
                await response.write(first)
                async for encoded in events:
                    self._readiness.check_answer()
                    await response.write(encoded)
            except GatewayError as error:
                failure = error
            except asyncio.CancelledError:
                if not deadline.expired():
                    raise
                failure = self._failure(TimeoutError(), context)
            else:
                if not isinstance(request, GenerateRequest):
                    await response.write(END_EVENT)
                context.finish(HTTPStatus.OK)
                return response
        context.finish(failure.status, failure.error_type)
        await response.write(encode_event(failure.body))
        return response

    async def _generate(self, request: Request, context: RequestContext) -> Json:
        """At the engine within `_engine_slot`: generate; retry a lost adapter once."""
        retried = False
        while True:
            async with self._engine_slot(request, context) as adapter:
                try:
                    answer = await self._backend.generate(request, _id(adapter), context.usage)
                except GatewayError as error:
                    # The next `_engine_slot` loads the adapter again.
                    if retried or not self._lost(adapter, error):
                        raise
                    retried = True
                else:
                    self._readiness.saw_token()
                    return answer

    async def _events(self, request: Request, context: RequestContext) -> AsyncGenerator[bytes]:
        """As `_generate`, for a stream of encoded events; retries only before its first one."""
        begun = retried = False
        while True:
            async with self._engine_slot(request, context) as adapter:
                answer = self._backend.stream(request, _id(adapter), context.usage)
                try:
                    async with contextlib.aclosing(answer) as events:
                        async for encoded in events:
                            begun = True
                            self._readiness.saw_token()
                            yield encoded
                except GatewayError as error:
                    if begun or retried or not self._lost(adapter, error):
                        raise
                    retried = True
                else:
                    return

    @contextlib.asynccontextmanager
    async def _engine_slot(self, request: Request, context: RequestContext) -> AsyncIterator[Adapter | None]:
        """Resolving, loading if need be, queued: yield the loaded adapter with an engine slot held.

        Waits for the slot with the adapter kept, so that it is not removed meanwhile.
        """
        if request.adapter is None:
            context.base_model = True
            async with self._admission.engine_slot(context, None):
                yield None
            return
        context.enter(Phase.REGISTRY)
        try:
            adapter = await self._registry.resolve(request.adapter)
        except InvalidName as error:
            raise GatewayError.validation(
                f"`{request.adapter_field}`: {shortened(error.adapter)!r} cannot be an adapter: "
                f"{error.problem}; name a published one, or leave it out for the base model"
            ) from None
        context.adapter, context.revision, context.tenant = adapter.name, adapter.revision, adapter.tenant
        waiting = partial(self._admission.waiting_for_load, context)
        with self._admission.within_limits(context, adapter):
            async with self._cache.keep(adapter, waiting), self._admission.engine_slot(context, adapter):
                yield adapter

    def _lost(self, adapter: Adapter | None, error: GatewayError) -> bool:
        """Return whether the engine no longer has the adapter, and drop it from the cache if so."""
        if adapter is None or not error.is_of_adapter:
            return False
        self._cache.lost(adapter)
        return True

    @contextlib.asynccontextmanager
    async def _time_limit(self, seconds: float) -> AsyncIterator[asyncio.Timeout]:
        """Time limit that `drain` can shorten."""
        async with asyncio.timeout(seconds) as deadline:
            self._deadlines.add(deadline)
            try:
                yield deadline
            finally:
                self._deadlines.discard(deadline)

    def _failure(self, error: Exception, context: RequestContext) -> GatewayError:
        if isinstance(error, GatewayError):
            if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                # The message is the gateway's, so it quotes no prompt.
                _log.error("request %s: %s: %s", context.request_id, error.error_type, error.message)
            return error
        if isinstance(error, TimeoutError):
            if self._readiness.state is EngineState.STOPPING:
                return GatewayError(
                    503, "stopping", "The container is being stopped: try again", retry_after_seconds=1
                )
            return GatewayError(
                504,
                "timeout",
                f"No answer after {context.seconds:.0f} s, waiting for {context.phase.value}: "
                "ask for fewer tokens, stream, or try again",
            )
        # The traceback and the type only: the error's message may quote a prompt.
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
        # A small compressed body may expand to one that blocks the event loop.
        raise GatewayError(415, "unsupported_media_type", "Send the request without Content-Encoding")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await http.read()
    except TimeoutError:
        raise GatewayError(
            408,
            "request_timeout",
            f"The request body is incomplete after {BODY_SECONDS:.0f} s: send it at once",
        ) from None
    except web.HTTPRequestEntityTooLarge:
        raise GatewayError(
            413, "body_too_large", f"The request body is too large: send at most {MAX_BODY_BYTES} bytes"
        ) from None


async def _begin_stream(http: web.Request, context: RequestContext) -> web.StreamResponse:
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"} | _attributes(context)
    response = web.StreamResponse(headers=headers)
    await response.prepare(http)
    return response


def _attributes(context: RequestContext) -> dict[str, str]:
    """Return the header with the revision that answered and the request's id in the log."""
    adapter = f"adapter={context.adapter}@{context.revision};" if context.adapter else ""
    return {CUSTOM_ATTRIBUTES: f"{adapter}request={context.request_id}"}


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except GatewayError as error:
        return _error_response(error)
    except web.HTTPException as error:
        status = HTTPStatus(error.status)
        return _error_response(
            GatewayError(
                status,
                status.name.lower(),
                f"{request.method} {request.path}: {status.phrase}; send requests to POST /invocations",
            )
        )


def _error_response(error: GatewayError) -> web.Response:
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return _json_response(error.body, status=error.status, headers=headers)


def _json_response(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, headers=headers, content_type=_JSON)
