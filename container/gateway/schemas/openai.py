"""The request: OpenAI's chat and text completion schemas, with limits of our own.

A field that is not here is refused by name: an engine would ignore it and answer something else than was
asked for, or do something that callers must not make it do (vLLM: templates, other places to load from).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from container.gateway.errors import GatewayError
from container.gateway.schemas.lorax import (
    BASE_MODEL_IDS,
    MAX_SEED,
    MAX_STOP_SEQUENCES,
    GenerateRequest,
    Penalty,
    Positive,
    Text,
)
from container.gateway.schemas.validation import validated

#: One JSON object as it goes to the client: the answer, or one event of a stream.
Json = dict[str, Any]
#: Choices that one request may ask for; each is a generation of its own.
MAX_CHOICES = 8
#: OpenAI's limits for the alternatives that are told for each token.
MAX_TOP_LOGPROBS = 20
MAX_TEXT_LOGPROBS = 5
#: Messages of a conversation, parts of one, tools: 2 MiB could hold a million, which would keep the event
#: loop, and /ping with it, for seconds.
MAX_ITEMS = 4096
MAX_FIELDS = 100
Objects = Annotated[list[dict[str, Any]], Field(fail_fast=True, max_length=MAX_ITEMS)]
#: For OpenAI's own bookkeeping: taken and not looked at.
IGNORED = frozenset(
    {
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "parallel_tool_calls",
    }
)


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class StreamOptions(_Strict):
    """`stream_options`."""

    include_usage: bool = False


class TextPart(_Strict):
    """A part of a message's content; images and the like are not served."""

    type: Literal["text"]
    text: str


class Message(_Strict):
    """One message of a conversation."""

    role: Text
    content: str | Annotated[list[TextPart], Field(fail_fast=True, max_length=MAX_ITEMS)] | None = None
    name: str | None = None
    tool_calls: Objects | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """Its content, whichever way it is written."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class OpenAIRequest(_Strict):
    """What both kinds of request have."""

    object: ClassVar[str]

    model: str | None = None
    max_tokens: Positive | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Positive | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    stop: Text | Annotated[list[Text], Field(max_length=MAX_STOP_SEQUENCES)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Field(gt=0)] | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=MAX_ITEMS)] | None = None
    response_format: dict[str, Any] | None = None
    ignore_eos: bool | None = None

    @property
    def adapter(self) -> str | None:
        """The adapter that is asked for, None for the base model."""
        return self.model

    @property
    def stops(self) -> list[str]:
        """The stop sequences, whichever way they are written."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with an event that has the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def asked_tokens(self) -> int | None:
        """The most tokens that the caller wants."""
        return self.max_tokens

    def new_tokens(self, default: int) -> int:
        """The number of tokens to generate at most."""
        return self.asked_tokens or default


class ChatRequest(OpenAIRequest):
    """`/v1/chat/completions`."""

    object = "chat.completion"

    messages: Annotated[list[Message], Field(fail_fast=True, min_length=1, max_length=MAX_ITEMS)]
    max_completion_tokens: Positive | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    tools: Objects | None = None
    tool_choice: str | dict[str, Any] | None = None

    @property
    def asked_tokens(self) -> int | None:
        """The most tokens that the caller wants, by the newer field if it is there."""
        return self.max_completion_tokens or self.max_tokens


class TextRequest(OpenAIRequest):
    """`/v1/completions`."""

    object = "text_completion"

    prompt: Text
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=MAX_TEXT_LOGPROBS)] | None = None


Kind = type[ChatRequest] | type[TextRequest]
#: A checked request of any schema.
Request = GenerateRequest | OpenAIRequest


def read_openai_request(data: Any, kind: Kind, *, base_model: str, max_new_tokens: int) -> OpenAIRequest:
    """Check a request's JSON; raises `GatewayError` 422. `model` is None in what asks for the base model."""
    if isinstance(data, dict):
        if len(data) > MAX_FIELDS:
            raise GatewayError.validation("the body has too many fields")
        for name, value in data.items():
            if isinstance(value, dict | list) and len(value) > MAX_ITEMS:
                raise GatewayError.validation(f"`{name[:50]}` has more than {MAX_ITEMS} items")
        data = {name: value for name, value in data.items() if name not in IGNORED}
        if data.get("model") in (*BASE_MODEL_IDS, base_model):
            data["model"] = None
    request = validated(kind, data)
    asked = request.asked_tokens
    if asked is not None and asked > max_new_tokens:
        given = "max_tokens" if asked == request.max_tokens else "max_completion_tokens"
        raise GatewayError.validation(f"`{given}` must be <= {max_new_tokens}")
    return request
