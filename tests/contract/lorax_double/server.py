"""Routes of router/src/server.rs. Left out: /embed, /classify, /docs, tools."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.contract.lorax_double import metrics, openai
from tests.contract.lorax_double.errors import InferError
from tests.contract.lorax_double.infer import Infer
from tests.contract.lorax_double.json_body import MAX_BODY_BYTES, Rejection, read_json
from tests.contract.lorax_double.log import SERVER, log
from tests.contract.lorax_double.options import Options
from tests.contract.lorax_double.responses import (
    Json,
    adapter_headers,
    generate_response,
    json_response,
    timing_headers,
)
from tests.contract.lorax_double.schema import (
    GenerateRequest,
    TokenizeRequest,
    read_compat_generate,
    read_generate,
    read_tokenize,
)
from tests.contract.lorax_double.stream import generate_stream
from tests.contract.lorax_double.tokens import tokenize

_DONE = b"[DONE]"


class Server:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._infer = Infer(options)

    def application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_as_axum])
        application.add_routes(
            [
                web.post("/", self._compat_generate),
                web.post("/invocations", self._compat_generate),
                web.post("/generate", self._generate),
                web.post("/generate_stream", self._generate_stream),
                web.post("/v1/completions", self._completions),
                web.post("/v1/chat/completions", self._chat_completions),
                web.post("/tokenize", self._tokenize),
                web.get("/", self._health),
                web.get("/health", self._health),
                web.get("/ping", self._health),
                web.get("/info", self._info),
                web.get("/metrics", self._metrics),
            ]
        )
        application.cleanup_ctx.append(self._tasks)
        return application

    async def _tasks(self, _: web.Application) -> AsyncIterator[None]:
        tasks = self._infer.start()
        yield
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _compat_generate(self, http: web.Request) -> web.StreamResponse:
        request = _with_token(http, await read_json(http, read_compat_generate))
        if request.stream:
            return await generate_stream(http, self._infer, request)
        body, headers = await self._answer(request)
        return json_response([body], headers=headers)

    async def _generate(self, http: web.Request) -> web.StreamResponse:
        body, headers = await self._answer(_with_token(http, await read_json(http, read_generate)))
        return json_response(body, headers=headers)

    async def _generate_stream(self, http: web.Request) -> web.StreamResponse:
        request = _with_token(http, await read_json(http, read_generate))
        return await generate_stream(http, self._infer, request)

    async def _completions(self, http: web.Request) -> web.StreamResponse:
        asked = await read_json(http, openai.read_completion)
        request = _with_token(http, openai.completion_request(asked, self._options.model_id))
        if request.stream:
            convert = openai.completion_chunk
            return await generate_stream(http, self._infer, request, convert=convert, end=_DONE)
        body, headers = await self._answer(request)
        return json_response(openai.completion_response(body), headers=headers)

    async def _chat_completions(self, http: web.Request) -> web.StreamResponse:
        asked = await read_json(http, openai.read_chat)
        request = _with_token(http, openai.chat_request(asked, self._options.model_id))
        if request.stream:
            return await generate_stream(http, self._infer, request, convert=openai.chat_chunk, end=_DONE)
        body, headers = await self._answer(request)
        return json_response(openai.chat_response(body, self._options.model_id), headers=headers)

    async def _answer(self, request: GenerateRequest) -> tuple[Json, dict[str, str]]:
        """The whole answer and its headers; raises `InferError`."""
        start = time.monotonic()
        metrics.count("lorax_request_count")
        best_of = request.parameters.best_of or 1
        if best_of > 1:
            responses = await self._infer.generate_best_of(request, best_of)
        else:
            responses = [await self._infer.generate(request)]
        # Only now, unlike in a stream: a name that cannot be a header does no harm before it has an answer.
        headers = timing_headers(responses[0], request, start) | adapter_headers(request, self._options)
        metrics.count("lorax_request_success")
        log(SERVER, "Success")
        return generate_response(responses, request), headers

    async def _tokenize(self, http: web.Request) -> web.StreamResponse:
        asked: TokenizeRequest = await read_json(http, read_tokenize)
        special = asked.add_special_tokens is not False
        tokens = tokenize(asked.inputs, add_special_tokens=special)
        first = 1 if special else 0
        ends = [0] * first + [token.start + len(token.text) for token in tokens[first:]]
        return json_response(
            [
                {"id": token.id, "text": token.text, "start": token.start, "stop": end}
                for token, end in zip(tokens, ends, strict=True)
            ]
        )

    async def _health(self, _: web.Request) -> web.StreamResponse:
        await self._infer.batching.is_healthy()
        return web.Response()

    async def _info(self, _: web.Request) -> web.StreamResponse:
        options = self._options
        body: dict[str, Any] = {
            "model_id": options.model_id,
            "model_sha": None,
            "model_dtype": "torch.bfloat16",
            "model_device_type": "cuda",
            "model_pipeline_tag": None,
            "max_concurrent_requests": options.max_concurrent_requests,
            "max_best_of": options.max_best_of,
            "max_stop_sequences": options.max_stop_sequences,
            "max_input_length": options.max_input_length,
            "max_total_tokens": options.max_total_tokens,
            "waiting_served_ratio": options.waiting_served_ratio,
            "max_batch_total_tokens": 31_000,
            "max_waiting_tokens": options.max_waiting_tokens,
            "validation_workers": 2,
            "eager_prefill": options.eager_prefill,
            "version": "0.1.0",
            "sha": None,
            "docker_label": None,
            "request_logger_url": None,
        }
        return json_response(body)

    async def _metrics(self, _: web.Request) -> web.StreamResponse:
        return web.Response(text=metrics.render())


def _with_token(http: web.Request, request: GenerateRequest) -> GenerateRequest:
    """Without a token in the request, the one of the Authorization header."""
    scheme, _, token = http.headers.get("Authorization", "").partition(" ")
    if request.parameters.api_token is not None or scheme != "Bearer":
        return request
    return dataclasses.replace(request, parameters=dataclasses.replace(request.parameters, api_token=token))


@web.middleware
async def _as_axum(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as axum and LoRAX answer them; any origin may ask (CORS)."""
    try:
        response = await handler(request)
    except InferError as error:
        response = json_response(error.body, error.status)
    except Rejection as error:
        response = web.Response(text=str(error), status=error.status)
    except web.HTTPException as error:
        response = web.Response(status=error.status)
    if not response.prepared:
        response.headers["Access-Control-Allow-Origin"] = "*"
    return response
