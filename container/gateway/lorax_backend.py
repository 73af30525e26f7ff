"""LoRAX behind the gateway, through its own `/generate` and `/generate_stream`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any

import aiohttp

from container.gateway.backend import HEALTH_TIMEOUT, Json
from container.gateway.errors import GatewayError
from container.gateway.schema import GenerateRequest
from container.gateway.sse import read_events

#: The status that belongs to each of LoRAX's error types (router/src/server.rs of 0.12.1).
_STATUS = {"validation": 422, "overloaded": 429, "generation": 424, "incomplete_generation": 500}
#: LoRAX has one error type for all that fails on a GPU's process. These words, from its Python code,
#: tell that the adapter was the reason.
_ADAPTER_FAILURES = (
    "No valid adapter config file found",
    "No .safetensors weights found",
    "No local weights found",
    "An error occurred (",
    "larger than adapter memory reservation",
    "Memory reserved for adapters is 0",
    "is not compatible with model",
    "does not support dynamic adapter loading",
)


class LoraxBackend:
    """Passes requests on with the adapter and its source filled in.

    A request that has reached LoRAX is always read to its end, also when the caller has gone: LoRAX
    0.12.1's router aborts, and takes every other request with it, if the reader of a request hangs up
    while that request's adapter fails to load.
    """

    def __init__(self, session: aiohttp.ClientSession, base_url: str, *, default_new_tokens: int) -> None:
        """`base_url` has no slash at its end."""
        self._session = session
        self._base_url = base_url
        self._default_new_tokens = default_new_tokens
        self._running: set[asyncio.Task[Any]] = set()

    async def generate(self, request: GenerateRequest, adapter: str | None) -> Json:
        """The whole answer; see `Backend`."""
        return await asyncio.shield(self._start(self._generate(self._body(request, adapter))))

    async def stream(self, request: GenerateRequest, adapter: str | None) -> AsyncGenerator[Json]:
        """The answer's events; see `Backend`."""
        events: asyncio.Queue[Json | GatewayError | None] = asyncio.Queue()
        self._start(self._read_stream(self._body(request, adapter), events))
        while (event := await events.get()) is not None:
            if isinstance(event, GatewayError):
                raise event
            yield event

    async def is_healthy(self) -> bool:
        """Whether LoRAX's router listens and its GPU processes answer."""
        try:
            url = f"{self._base_url}/health"
            async with self._session.get(url, timeout=HEALTH_TIMEOUT) as response:
                return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _start(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _body(self, request: GenerateRequest, adapter: str | None) -> Json:
        parameters = request.parameters.model_dump(exclude_none=True, exclude_unset=True)
        parameters.pop("adapter_id", None)
        parameters.pop("adapter_source", None)
        # Without a number LoRAX generates up to MAX_TOTAL_TOKENS, which takes longer than a caller waits.
        parameters["max_new_tokens"] = request.new_tokens(self._default_new_tokens)
        if adapter is not None:
            parameters |= {"adapter_id": adapter, "adapter_source": "s3"}
        return {"inputs": request.inputs, "parameters": parameters}

    async def _generate(self, body: Json) -> Json:
        try:
            async with self._session.post(f"{self._base_url}/generate", json=body) as response:
                text = await response.read()
        except aiohttp.ClientError as error:
            raise _unreachable() from error
        try:
            answer: Any = json.loads(text)
        except ValueError:
            answer = {}
        if response.status != HTTPStatus.OK or "generated_text" not in answer:
            raise _refusal(answer)
        return dict(answer)

    async def _read_stream(self, body: Json, events: asyncio.Queue[Json | GatewayError | None]) -> None:
        finished = False
        try:
            async with self._session.post(f"{self._base_url}/generate_stream", json=body) as response:
                async for event in read_events(response.content):
                    finished = event.get("generated_text") is not None
                    events.put_nowait(_refusal(event) if "error" in event else event)
        except aiohttp.ClientError:
            events.put_nowait(_unreachable())
        if not finished:
            events.put_nowait(GatewayError(500, "incomplete_generation", "Incomplete generation"))
        events.put_nowait(None)


def _refusal(answer: Any) -> GatewayError:
    body = answer if isinstance(answer, dict) else {}
    error_type, message = str(body.get("error_type", "")), str(body.get("error", ""))
    if error_type == "generation" and any(words in message for words in _ADAPTER_FAILURES):
        return GatewayError(424, "adapter_load_failed", message)
    if error_type in _STATUS:
        return GatewayError(_STATUS[error_type], error_type, message)
    return GatewayError(500, "generation", "Request failed during generation")


def _unreachable() -> GatewayError:
    return GatewayError(503, "engine_unavailable", "The engine does not answer")
