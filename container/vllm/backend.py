"""vLLM as a `Backend`, through its `/v1/completions` and `/v1/chat/completions`.

vLLM's own `/invocations` is not used: it answers with the base model if the body names the adapter (seen with
0.32.0). For the same reason each answer's `model` is compared with the request's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from http import HTTPStatus
from pathlib import Path

from adapters.store.layout import ADAPTERS_PREFIX
from container.gateway.adapters.residency import Residency
from container.gateway.engine.connection import EnginePool
from container.gateway.engine.http_client import EngineHttp, encode, read_answer
from container.gateway.errors import GatewayError
from container.gateway.proof.conditions import EngineFacts
from container.gateway.proof.probe import Probe
from container.gateway.request_context import Usage
from container.gateway.schemas.lorax import ONE_TOKEN, GenerateRequest
from container.gateway.schemas.openai import ChatRequest, Json, OpenAIRequest, Request
from container.gateway.sse import translated
from container.vllm.event_streams import EngineEvents, GenerateEvents, OpenAIEvents, check_model, count
from container.vllm.generate import check_supported, completion_body, generated
from container.vllm.openai_schema import openai_answer, openai_body
from container.vllm.probe import FACTS, facts_of, probe_body, probe_of
from container.vllm.problems import take_problem
from container.vllm.read_ahead import ReadAhead
from container.vllm.refusals import check_tools, refusal

#: Bytes that a chat template may add once per conversation.
_TEMPLATE_BYTES = 256
_TEXT, _CHAT = "/v1/completions", "/v1/chat/completions"


class VllmBackend:
    """Translates requests and answers."""

    reads_to_end = False

    def __init__(
        self,
        pool: EnginePool,
        *,
        base_model: str,
        max_input_tokens: int,
        default_new_tokens: int,
        cache: Path,
        resident: int,
        tool_call_parser: str | None = None,
    ) -> None:
        """`base_model` is the base model's name at vLLM and in answers.

        `cache` is the directory to which vLLM's resolver downloads adapters, `resident` the number of them
        that vLLM holds in host memory. `tool_call_parser` is vLLM's parser of the model's tool calls; without
        one it calls no tools.
        """
        self._http = EngineHttp(pool)
        self._base_model = base_model
        self._max_input_tokens = max_input_tokens
        self._default_new_tokens = default_new_tokens
        self._cache = cache
        self._read_ahead = ReadAhead(resident)
        self._tool_call_parser = tool_call_parser

    async def generate(self, request: Request, adapter: str | None, usage: Usage) -> Json:
        """Return the whole answer; see `Backend`."""
        body = await self._body(request, adapter, tokens=_has_details(request))
        answer = await self._http.post(_path(request), body)
        if answer.status != HTTPStatus.OK:
            raise refusal(answer, adapter, request)
        check_model(answer.json, body["model"])
        count(answer.json, usage)
        if isinstance(request, GenerateRequest):
            return generated(request, answer.json)
        return openai_answer(answer.json, request.model or self._base_model)

    async def stream(self, request: Request, adapter: str | None, usage: Usage) -> AsyncGenerator[bytes]:
        """Yield the answer's events; see `Backend`."""
        body = await self._body(request, adapter, tokens=True) | {"stream": True}
        engine = EngineEvents(body["model"], usage)
        if isinstance(request, OpenAIRequest):
            body["stream_options"] = {"include_usage": True}
            translate = OpenAIEvents(
                request, engine, asked=body["model"], base_model=self._base_model
            ).translate
        else:
            translate = GenerateEvents(request, engine, usage).translate
        async with self._http.open(_path(request), body) as response:
            if response.status != HTTPStatus.OK:
                raise refusal(await read_answer(response), adapter, request)
            async for events in translated(response.chunks(), translate):
                yield events
        if not engine.finished:
            raise GatewayError.incomplete()

    async def load(self, engine_id: str) -> Probe:
        """Probe the adapter: for an unknown one vLLM calls `container.vllm.resolver`; see `Backend`."""
        try:
            probe = await self.probe(engine_id)
        except GatewayError as error:
            problem = take_problem(self._cache, engine_id)
            raise problem or error from None
        self._read_ahead.used(engine_id)
        return probe

    async def probe(self, adapter: str | None) -> Probe:
        """See `Backend`. vLLM computes all of it: such a request reads no cached prefix."""
        model = adapter or self._base_model
        answer = await self._http.post(_TEXT, probe_body(model))
        if answer.status != HTTPStatus.OK:
            raise refusal(answer, adapter, ONE_TOKEN)
        check_model(answer.json, model)
        return probe_of(answer.json)

    async def facts(self) -> EngineFacts:
        """See `Backend`."""
        return facts_of((await self._http.get(FACTS)).json)

    async def unload(self, engine_id: str) -> bool:
        """Unload the adapter from slot and host memory (`container.vllm.routes`); see `Backend`."""
        try:
            answer = await self._http.post("/v1/unload_lora_adapter", {"lora_name": engine_id})
        except GatewayError:
            # An engine that does not answer needs no files.
            return True
        if answer.status == HTTPStatus.CONFLICT:
            return False
        self._read_ahead.unloaded(engine_id)
        return True

    async def pin(self, engine_id: str) -> bool:
        """See `Backend`."""
        try:
            answer = await self._http.post("/adapter_store/pin", {"lora_name": engine_id})
        except GatewayError:
            return False
        return answer.status == HTTPStatus.OK

    async def residency(self) -> Residency | None:
        """See `Backend`."""
        try:
            answer = await self._http.get("/adapter_store/residency")
            return Residency.from_json(answer.json) if answer.status == HTTPStatus.OK else None
        except (GatewayError, KeyError):
            # KeyError: the body is not JSON.
            return None

    def files(self, engine_id: str) -> Path:
        """Return the directory to which `container.vllm.resolver` downloads; see `Backend`."""
        return self._cache / engine_id

    def files_at_start(self) -> Iterable[Path]:
        """See `Backend`."""
        return (self._cache / ADAPTERS_PREFIX, *self._cache.glob("fetching-*"))

    async def is_healthy(self) -> bool:
        """Return True if vLLM's HTTP server answers and its engine is alive."""
        return await self._http.is_healthy()

    async def _body(self, request: Request, adapter: str | None, *, tokens: bool) -> Json:
        if isinstance(request, GenerateRequest):
            check_supported(request)
            body = completion_body(request, default_new_tokens=self._default_new_tokens, tokens=tokens)
        else:
            if isinstance(request, ChatRequest):
                check_tools(request, self._tool_call_parser)
            body = openai_body(request, default_new_tokens=self._default_new_tokens)
        await self._check_input_length(body, request)
        if adapter is not None:
            await self._read_ahead.before_use(adapter, self.files(adapter))
        return body | {"model": adapter or self._base_model}

    async def _check_input_length(self, body: Json, request: Request) -> None:
        # A token has at least one byte. A tokenizer adds at most one token to a prompt, a chat template some
        # to each message. So most prompts are known to fit without tokenizing them twice.
        tokenized = {"model": self._base_model}
        tokenized |= {name: body[name] for name in ("prompt", "messages", "tools") if body.get(name)}
        # The factor allows for the template's text around each message, which is not known here.
        chat = "messages" in body
        upper_bound = 2 * len(encode(tokenized)) + _TEMPLATE_BYTES if chat else len(body["prompt"].encode())
        if upper_bound < self._max_input_tokens:
            return
        answer = await self._http.post("/tokenize", tokenized)
        if answer.status != HTTPStatus.OK:
            raise refusal(answer, None, request)
        given = answer.json["count"]
        if given > self._max_input_tokens:
            raise GatewayError.validation(
                f"`{request.prompt_field}` must have at most {self._max_input_tokens} tokens. Given: {given}"
            )


def _path(request: Request) -> str:
    return _CHAT if isinstance(request, ChatRequest) else _TEXT


def _has_details(request: Request) -> bool:
    return isinstance(request, GenerateRequest) and request.parameters.details
