"""LoRAX as a `Backend`, through its `/generate`, `/generate_stream` and `/v1/chat/completions`.

Its `/v1/completions` is not used: it samples only if `n` is given, and its finish reason for a stop sequence
is "content_filter". OpenAI's text completions are translated to `/generate`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path

from adapters.store.layout import ADAPTERS_PREFIX
from container.gateway.adapters.download import Download, DownloadError, parse_engine_id
from container.gateway.adapters.residency import Residency
from container.gateway.engine.connection import EnginePool
from container.gateway.engine.http_client import EngineAnswer, EngineHttp, read_answer
from container.gateway.errors import ADAPTER_LOAD_FAILED, GatewayError, adapter_error
from container.gateway.proof.conditions import EngineFacts
from container.gateway.proof.probe import Probe
from container.gateway.request_context import Usage
from container.gateway.schemas.lorax import GenerateRequest
from container.gateway.schemas.openai import ChatRequest, Json, Request, TextRequest
from container.gateway.sse import encode_event, encoded_event, read_event, translated
from container.lorax.chat import ChatAnswer, chat_body
from container.lorax.probe import FACTS, PROBE, facts_of, probe_of
from container.lorax.refusals import refusal
from container.lorax.text import TextAnswer, generate_request

#: Parameters that make LoRAX sample instead of decoding greedily.
_SAMPLING = ("temperature", "do_sample", "top_k", "top_p", "typical_p")
#: Returns the client's encoded events for one of LoRAX's, given its JSON and the same parsed and checked.
_Translate = Callable[[bytes, Json], bytes]


class LoraxBackend:
    """Translates requests and answers; sets each request's adapter and adapter source.

    A request that has reached LoRAX is always read to its end: LoRAX 0.12.1's router aborts, with every other
    request in it, if the client of a request disconnects while that request's adapter fails to load.
    """

    reads_to_end = True

    def __init__(
        self,
        pool: EnginePool,
        *,
        base_model: str,
        default_new_tokens: int,
        cache: Path,
        download: Download,
    ) -> None:
        """`base_model` is the base model's name in answers.

        `cache` is LoRAX's HUGGINGFACE_HUB_CACHE; `download` stores adapters in it, where LoRAX expects them.
        """
        self._http = EngineHttp(pool)
        self._base_model = base_model
        self._default_new_tokens = default_new_tokens
        self._cache = cache
        self._download = download

    async def generate(self, request: Request, adapter: str | None, usage: Usage) -> Json:
        """Return the whole answer; see `Backend`."""
        if isinstance(request, ChatRequest):
            body = chat_body(request, adapter, default_new_tokens=self._default_new_tokens)
            answer = await self._post("/v1/chat/completions", body, adapter, request)
            return ChatAnswer(request, self._base_model, usage).whole(answer.json)
        if isinstance(request, TextRequest):
            text = TextAnswer(request, self._base_model, usage)
            return text.whole(await self._generate(generate_request(request), adapter, usage, request))
        assert isinstance(request, GenerateRequest)  # noqa: S101 — there are three kinds
        return await self._generate(request, adapter, usage, request)

    async def stream(self, request: Request, adapter: str | None, usage: Usage) -> AsyncGenerator[bytes]:
        """Yield the answer's events; see `Backend`."""
        if isinstance(request, ChatRequest):
            chat = ChatAnswer(request, self._base_model, usage)
            body = chat_body(request, adapter, default_new_tokens=self._default_new_tokens)
            source = self._events(
                "/v1/chat/completions",
                body | {"stream": True},
                adapter,
                request,
                lambda _, event: b"".join(map(encode_event, chat.chunks(event))),
            )
            async with contextlib.aclosing(source) as events:
                async for encoded in events:
                    yield encoded
            if not chat.finished:
                raise GatewayError.incomplete()
            return
        if isinstance(request, TextRequest):
            text = TextAnswer(request, self._base_model, usage)
            source = self._generate_stream(
                generate_request(request),
                adapter,
                usage,
                request,
                lambda _, event: b"".join(map(encode_event, text.chunks(event))),
            )
        else:
            assert isinstance(request, GenerateRequest)  # noqa: S101 — there are three kinds
            source = self._generate_stream(request, adapter, usage, request, _passed(request))
        async with contextlib.aclosing(source) as events:
            async for encoded in events:
                yield encoded

    async def load(self, engine_id: str) -> Probe:
        """Download the adapter's files to LoRAX's cache and have LoRAX load them; see `Backend`.

        LoRAX could download them itself, but would stop all generation meanwhile, would not verify the digest
        and would not download them again after their removal from the disk. An adapter that it then cannot
        load would permanently occupy its part of the memory for adapters.
        """
        name, revision = parse_engine_id(engine_id)
        try:
            await asyncio.to_thread(self._download.fetch, name, revision)
        except DownloadError as error:
            raise adapter_error(error.error_type, str(error)) from error
        try:
            return await self.probe(engine_id)
        except GatewayError as error:
            if error.error_type != "generation":
                raise
            # Generating one token for a fixed text can only fail because of the adapter.
            raise adapter_error(
                ADAPTER_LOAD_FAILED, "LoRAX could not load the adapter; the endpoint's log has the reason"
            ) from error

    async def probe(self, adapter: str | None) -> Probe:
        """See `Backend`."""
        answer = await self._generate(PROBE, adapter, Usage(), PROBE)
        return probe_of(answer)

    async def facts(self) -> EngineFacts:
        """See `Backend`."""
        return facts_of((await self._http.get(FACTS)).json)

    async def unload(self, engine_id: str) -> bool:
        """Do nothing: LoRAX has no such request. `load` restores the files before LoRAX needs them again."""
        return True

    async def pin(self, engine_id: str) -> bool:
        """Do nothing: LoRAX offloads by its own memory budget, least recently used first."""
        return False

    async def residency(self) -> Residency | None:
        """Return None: LoRAX does not report which adapters it has offloaded."""
        return None

    def files(self, engine_id: str) -> Path:
        """See `Backend`."""
        return adapter_directory(self._cache, engine_id).parent

    def files_at_start(self) -> Iterable[Path]:
        """See `Backend`. The base model, which is in the same directory, is not among them."""
        return self._cache.glob(f"models--{ADAPTERS_PREFIX.replace('/', '--')}*")

    async def is_healthy(self) -> bool:
        """Return True if LoRAX's router and its GPU processes answer."""
        return await self._http.is_healthy()

    def _body(self, request: GenerateRequest, adapter: str | None) -> Json:
        parameters = request.parameters.model_dump(exclude_none=True, exclude_unset=True)
        parameters.pop("adapter_id", None)
        parameters.pop("adapter_source", None)
        if request.parameters.temperature == 0:
            # LoRAX would sample all the same if another sampling parameter is set.
            for name in _SAMPLING:
                parameters.pop(name, None)
        # Without it LoRAX generates up to MAX_TOTAL_TOKENS, which takes longer than the time limit.
        parameters["max_new_tokens"] = request.new_tokens(self._default_new_tokens)
        # Only with it does the last event of a stream have the token counts.
        if request.stream:
            parameters["details"] = True
        if adapter is not None:
            parameters |= {"adapter_id": adapter, "adapter_source": "s3"}
        return {"inputs": request.inputs, "parameters": parameters}

    async def _generate(
        self, request: GenerateRequest, adapter: str | None, usage: Usage, written: Request
    ) -> Json:
        """Post a request to `/generate`; `written` is the client's, of which it is the translation."""
        answer = await self._post("/generate", self._body(request, adapter), adapter, written)
        if "generated_text" not in answer.json:
            raise GatewayError.generation()
        usage.prompt_tokens = _number(answer.headers, "x-prompt-tokens")
        usage.generated_tokens = _number(answer.headers, "x-generated-tokens")
        return answer.json

    async def _generate_stream(
        self,
        request: GenerateRequest,
        adapter: str | None,
        usage: Usage,
        written: Request,
        translate: _Translate,
    ) -> AsyncGenerator[bytes]:
        finished = False

        def counted(data: bytes, event: Json) -> bytes:
            nonlocal finished
            usage.generated_tokens += 1
            finished = event.get("generated_text") is not None
            if finished:
                details = event.get("details") or {}
                usage.prompt_tokens = details.get("prompt_tokens", 0)
                usage.generated_tokens = details.get("generated_tokens", usage.generated_tokens)
            return translate(data, event)

        body = self._body(request.model_copy(update={"stream": True}), adapter)
        source = self._events("/generate_stream", body, adapter, written, counted)
        async with contextlib.aclosing(source) as events:
            async for encoded in events:
                yield encoded
        if not finished:
            raise GatewayError.incomplete()

    async def _post(self, path: str, body: Json, adapter: str | None, written: Request) -> EngineAnswer:
        answer = await self._http.post(path, body)
        if answer.status != HTTPStatus.OK:
            raise refusal(answer.status, answer.json, written)
        _check_adapter(answer.headers, adapter)
        return answer

    async def _events(
        self, path: str, body: Json, adapter: str | None, written: Request, translate: _Translate
    ) -> AsyncGenerator[bytes]:
        async with self._http.open(path, body) as response:
            if response.status != HTTPStatus.OK:
                raise refusal(response.status, (await read_answer(response)).json, written)

            def checked(data: bytes) -> bytes:
                event = read_event(data)
                if "error" in event:
                    raise refusal(response.status, event, written)
                _check_adapter(response.headers, adapter)
                return translate(data, event)

            async for encoded in translated(response.chunks(), checked):
                yield encoded


def _passed(request: GenerateRequest) -> _Translate:
    """Return the translation of LoRAX's events for a client of LoRAX's schema: they pass as they are.

    The last event has details because the gateway asks for them.
    """

    def passed(data: bytes, event: Json) -> bytes:
        if event.get("details") is None or request.parameters.details:
            return encoded_event(data)
        return encode_event(event | {"details": None})

    return passed


def adapter_directory(cache: Path, engine_id: str) -> Path:
    """Return the directory where LoRAX looks for an adapter (server/lorax_server/utils/sources/s3.py)."""
    return cache / f"models--{engine_id.replace('/', '--')}" / "snapshots"


def _check_adapter(headers: Mapping[str, str], asked: str | None) -> None:
    """Raise `GatewayError` if LoRAX's headers name another adapter than `asked`; None is the base model.

    The headers repeat the request as LoRAX parsed it: this detects a mixed-up request, not mixed-up weights.
    """
    if headers.get("x-adapter-id") != asked:
        raise GatewayError.wrong_adapter()


def _number(headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name, "")
    return int(text) if text.isdigit() else 0
