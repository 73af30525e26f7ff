"""vLLM behind the gateway, through its `/v1/completions`.

Never through vLLM's own `/invocations`: that one answers with the base model when the adapter is
named in the body (seen with 0.32.0). For the same reason every answer's `model` is compared with
what was asked for.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any

import aiohttp

from container.gateway.backend import HEALTH_TIMEOUT, Json
from container.gateway.errors import GatewayError
from container.gateway.schema import GenerateRequest
from container.gateway.sse import read_events
from container.gateway.vllm_tokens import Transcript, finish_reason, tokens_of

#: Statuses of vLLM for a request that it finds wrong.
_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)


class VllmBackend:
    """Translates requests and answers; keeps no state of its own."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        *,
        base_model: str,
        max_input_tokens: int,
        default_new_tokens: int,
    ) -> None:
        """`base_url` has no slash at its end; `base_model` is the name that vLLM serves it under."""
        self._session = session
        self._completions = f"{base_url}/v1/completions"
        self._tokenize = f"{base_url}/tokenize"
        self._health = f"{base_url}/health"
        self._base_model = base_model
        self._max_input_tokens = max_input_tokens
        self._default_new_tokens = default_new_tokens

    async def generate(self, request: GenerateRequest, adapter: str | None) -> Json:
        """The whole answer; see `Backend`."""
        body = await self._body(request, adapter, tokens=request.parameters.details)
        try:
            async with self._session.post(self._completions, json=body) as response:
                answer = await _answer(response, adapter)
        except aiohttp.ClientError as error:
            raise _unreachable() from error
        _check_model(answer, body["model"])
        choice = answer["choices"][0]
        prefix = request.inputs if request.parameters.return_full_text else ""
        result: Json = {"generated_text": prefix + choice["text"]}
        reason = finish_reason(choice)
        if request.parameters.details:
            tokens = tokens_of(choice)
            result["details"] = {
                "finish_reason": reason,
                "prompt_tokens": answer["usage"]["prompt_tokens"],
                "generated_tokens": answer["usage"]["completion_tokens"],
                "skipped_tokens": 0,
                "seed": request.parameters.seed if request.parameters.samples else None,
                "prefill": [],
                "tokens": tokens,
            }
        return result

    async def stream(self, request: GenerateRequest, adapter: str | None) -> AsyncGenerator[Json]:
        """The answer's events; see `Backend`."""
        body = await self._body(request, adapter, tokens=True) | {"stream": True}
        transcript = Transcript(request)
        try:
            async with self._session.post(self._completions, json=body) as response:
                if response.status != HTTPStatus.OK:
                    await _answer(response, adapter)
                async for chunk in read_events(response.content):
                    if "error" in chunk:
                        raise _refusal(HTTPStatus.INTERNAL_SERVER_ERROR, chunk, adapter)
                    _check_model(chunk, body["model"])
                    for event in transcript.events(chunk["choices"][0]):
                        yield event
        except aiohttp.ClientError as error:
            raise _unreachable() from error
        if not transcript.finished:
            raise GatewayError(500, "incomplete_generation", "Incomplete generation")

    async def is_healthy(self) -> bool:
        """Whether vLLM's HTTP server answers and its engine is alive."""
        try:
            async with self._session.get(self._health, timeout=HEALTH_TIMEOUT) as response:
                return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _body(self, request: GenerateRequest, adapter: str | None, *, tokens: bool) -> Json:
        _check_supported(request)
        await self._check_input_length(request.inputs)
        asked = request.parameters
        body: Json = {
            "model": adapter or self._base_model,
            "prompt": request.inputs,
            "max_tokens": request.new_tokens(self._default_new_tokens),
            "temperature": 0,
            "stop": asked.stop,
            "include_stop_str_in_output": True,
            "ignore_eos": asked.ignore_eos_token,
        }
        if asked.samples:
            body["temperature"] = 1 if asked.temperature is None else asked.temperature
            body |= _given(top_k=asked.top_k, top_p=asked.top_p, seed=asked.seed)
        body |= _given(
            repetition_penalty=asked.repetition_penalty,
            frequency_penalty=asked.frequency_penalty,
            presence_penalty=asked.presence_penalty,
        )
        if tokens:
            body |= {"logprobs": 0, "return_token_ids": True}
        return body

    async def _check_input_length(self, inputs: str) -> None:
        # A token is at least one byte, and a tokenizer adds at most one token of its own to a prompt.
        # So most prompts are known to fit without the cost of tokenizing them twice.
        if len(inputs.encode()) < self._max_input_tokens:
            return
        try:
            async with self._session.post(
                self._tokenize, json={"model": self._base_model, "prompt": inputs}
            ) as response:
                count = (await _answer(response, None))["count"]
        except aiohttp.ClientError as error:
            raise _unreachable() from error
        if count > self._max_input_tokens:
            raise GatewayError.validation(
                f"`inputs` must have at most {self._max_input_tokens} tokens. Given: {count}"
            )


def _check_supported(request: GenerateRequest) -> None:
    asked = request.parameters
    refused = {
        "best_of": (asked.best_of or 1) > 1,
        "typical_p": asked.typical_p is not None,
        "truncate": asked.truncate is not None,
        "watermark": asked.watermark,
        "decoder_input_details": asked.decoder_input_details,
        "return_k_alternatives": asked.return_k_alternatives is not None,
        "response_format": asked.response_format is not None,
    }
    for name, present in refused.items():
        if present:
            raise GatewayError.validation(f"`{name}` is not supported by this endpoint's engine, vLLM")


def _given(**parameters: float | None) -> Json:
    return {name: value for name, value in parameters.items() if value is not None}


def _check_model(answer: Json, asked: str) -> None:
    if answer.get("model") != asked:
        raise GatewayError(
            500, "wrong_adapter", "The engine answered with another model than the one asked for"
        )


async def _answer(response: aiohttp.ClientResponse, adapter: str | None) -> Json:
    body = await response.read()
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    if response.status != HTTPStatus.OK:
        raise _refusal(response.status, answer, adapter)
    return dict(answer)


def _refusal(status: int, answer: Any, adapter: str | None) -> GatewayError:
    problem = answer.get("error") if isinstance(answer, dict) else None
    message = str(problem.get("message", "")) if isinstance(problem, dict) else ""
    # The gateway only asks for adapters that are registered, so vLLM's "does not exist" means that
    # the adapter could not be fetched or does not match its digest; vLLM's log has the reason.
    if adapter and (status == HTTPStatus.NOT_FOUND or "could not be loaded" in message):
        return GatewayError(
            424, "adapter_load_failed", "The adapter could not be loaded; the endpoint's log has the reason"
        )
    if status in _REFUSED:
        return GatewayError.validation(message or "the engine refused the request")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return _unreachable()
    return GatewayError(500, "generation", "Request failed during generation")


def _unreachable() -> GatewayError:
    return GatewayError(503, "engine_unavailable", "The engine does not answer")
