"""The events of vLLM's streams: the checks that each has to pass, and their translation for the client.

Most events of a stream in OpenAI's schema differ in their text alone. They are not parsed and built again:
see `OpenAIEvents`.
"""

from __future__ import annotations

import orjson

from container.gateway.errors import GatewayError
from container.gateway.request_context import Usage
from container.gateway.schemas.lorax import GenerateRequest
from container.gateway.schemas.openai import ChatRequest, Json, OpenAIRequest
from container.gateway.sse import encode_event, read_event
from container.vllm.openai_schema import openai_answer
from container.vllm.tokens import Transcript


class EngineEvents:
    """The checks of one stream's events, and what they say about the whole answer."""

    def __init__(self, model: str, usage: Usage) -> None:
        """`model` is the one that vLLM was asked for; `usage` is filled in."""
        self.finished = False
        self._model = model
        self._usage = usage

    def read(self, data: bytes) -> Json:
        """Parse and check an event.

        Raises `GatewayError` for one that is no object, for vLLM's error, for another model than the one
        asked for, and for an aborted generation.
        """
        event = read_event(data)
        if "error" in event:
            raise GatewayError.generation()
        check_model(event, self._model)
        count(event, self._usage)
        reasons = [choice.get("finish_reason") for choice in event["choices"]]
        if "abort" in reasons or "error" in reasons:
            raise GatewayError.incomplete()
        self.finished = self.finished or any(reasons)
        return event


class GenerateEvents:
    """Translates the events of a stream to LoRAX's schema."""

    def __init__(self, request: GenerateRequest, engine: EngineEvents, usage: Usage) -> None:
        """`engine` checks the events of the stream that answers `request`; `usage` is filled in."""
        self._engine = engine
        self._transcript = Transcript(request, usage)

    def translate(self, data: bytes) -> bytes:
        """Return the encoded events for one of vLLM's; raises as `EngineEvents.read` does."""
        choice = self._engine.read(data)["choices"][0]
        return b"".join(map(encode_event, self._transcript.events(choice)))


#: The rest of an event after the index of its only choice, before and after its text: what vLLM 0.32.0
#: writes, and what the client gets. vLLM's is pydantic's `model_dump_json(exclude_unset=True)` of
#: `CompletionStreamResponse` and `ChatCompletionStreamResponse` (entrypoints/openai/*/protocol.py) with the
#: fields that its stream generators set (serving.py). The client's is `openai_answer` of that.
_TEXT = (
    (b',"text":', b',"logprobs":null,"finish_reason":null,"stop_reason":null,'
     b'"prompt_token_ids":null,"token_ids":null}]}'),
    (b',"text":', b',"finish_reason":null,"logprobs":null}]}'),
)  # fmt: skip
_CHAT = (
    (b',"delta":{"content":', b'},"logprobs":null,"finish_reason":null,"token_ids":null}]}'),
    (b',"finish_reason":null,"delta":{"content":', b'},"logprobs":null}]}'),
)
#: Fields before `model`, the same in all events of a stream.
_CONSTANT = ("id", "object", "created")


class OpenAIEvents:
    """Translates the events of a stream for a client of OpenAI's schema.

    The first event is parsed and checked. From its id and time, and from the model that was asked for, follow
    the bytes of the events that only add text: `head`, one digit for the choice, `before`, a JSON string,
    `after`. An event that has exactly these bytes passes as bytes, with the client's head in place of vLLM's
    and without the fields that OpenAI's schema has not. Of it only the string is parsed.

    This loses no check. Head, digit, `before`, string and `after` are the whole event: the string is one, so
    whatever a model writes is within it, and the rest is known. So its model is the one asked for, it has no
    error, no usage and no finish reason. Every other event, such as the last one, or one with log
    probabilities or a tool call, is parsed, checked and built again, as are all if vLLM writes others than
    expected.
    """

    def __init__(self, request: OpenAIRequest, engine: EngineEvents, *, asked: str, base_model: str) -> None:
        """`engine` checks the events of the stream that answers `request`; vLLM was asked for `asked`."""
        self._engine = engine
        self._asked = asked
        self._model = request.model or base_model
        self._include_usage = request.include_usage
        (self._before, self._after), (self._new_before, self._new_after) = (
            _CHAT if isinstance(request, ChatRequest) else _TEXT
        )
        self._head: bytes | None = None
        self._new_head = b""
        #: Where an event's index and text begin, and where its text ends.
        self._index_at = self._text_at = 0
        self._text_end = -len(self._after)

    def translate(self, data: bytes) -> bytes:
        """Return the encoded event for one of vLLM's, or nothing; raises as `EngineEvents.read` does."""
        if self._head is not None and data.startswith(self._head) and data.endswith(self._after):
            index = data[self._index_at : self._index_at + 1]
            text = data[self._text_at : self._text_end]
            if index.isdigit() and data.startswith(self._before, self._index_at + 1) and _is_string(text):
                return b"".join((self._new_head, index, self._new_before, text, self._new_after, b"\n\n"))
        event = self._engine.read(data)
        if self._head is None and all(event.get(name) is not None for name in _CONSTANT):
            self._head = _head(event, self._asked)
            self._new_head = b"data: " + _head(event, self._model)
            self._index_at = len(self._head)
            self._text_at = self._index_at + 1 + len(self._before)
        if event["choices"] or self._include_usage:
            return encode_event(openai_answer(event, self._model))
        return b""


def _head(event: Json, model: str) -> bytes:
    """Return the start of an event, up to its choice's index, with another model."""
    first = {name: event[name] for name in _CONSTANT} | {"model": model}
    return orjson.dumps(first)[:-1] + b',"choices":[{"index":'


def _is_string(data: bytes) -> bool:
    try:
        return isinstance(orjson.loads(data), str)
    except ValueError:
        return False


def check_model(answer: Json, asked: str) -> None:
    """Raise `GatewayError` for an answer, or an event, of another model than the one asked for."""
    if answer.get("model") != asked:
        raise GatewayError.wrong_adapter()


def count(answer: Json, usage: Usage) -> None:
    """Take over the token counts of an answer or an event, if it has them."""
    if counts := answer.get("usage"):
        usage.prompt_tokens = counts["prompt_tokens"]
        usage.generated_tokens = counts["completion_tokens"]
