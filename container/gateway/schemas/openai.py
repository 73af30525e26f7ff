"""OpenAI's chat and text completion request schemas, with the gateway's limits.

Unknown fields are refused by name. An engine would ignore them and answer another request than the client's,
or offer functions that clients must not use (vLLM: templates, other sources of adapters).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from container.gateway.errors import GatewayError
from container.gateway.schemas.adapter_names import BASE_MODEL_IDS
from container.gateway.schemas.lorax import (
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
#: Maximum of `n`; each choice is a separate generation.
MAX_CHOICES = 8
#: OpenAI's limits for the alternatives returned for each token.
MAX_TOP_LOGPROBS = 20
MAX_TEXT_LOGPROBS = 5
#: Maximum of messages, parts of a message and tools: a body of 2 MiB could have a million, which would block
#: the event loop, and /ping with it, for seconds.
MAX_ITEMS = 4096
MAX_FIELDS = 100
Objects = Annotated[list[dict[str, Any]], Field(fail_fast=True, max_length=MAX_ITEMS)]
#: Accepted and ignored: they have a meaning in OpenAI's own service only.
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
    """A text part of a message's content; other types are not supported."""

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
        """The content as one string."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class OpenAIRequest(_Strict):
    """Fields of both kinds of request."""

    object: ClassVar[str]
    adapter_field: ClassVar[str] = "model"

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
        """The requested adapter, None for the base model."""
        return self.model

    @property
    def stops(self) -> list[str]:
        """The stop sequences as a list."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())

    @property
    def include_usage(self) -> bool:
        """True if a stream ends with an event that has the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def asked_tokens(self) -> int | None:
        """The maximum number of tokens that the client asks for."""
        return self.max_tokens

    def new_tokens(self, default: int) -> int:
        """Return the maximum number of tokens to generate."""
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
        """The maximum number of tokens that the client asks for; the newer field has priority."""
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
    """Validate a request's JSON; raise `GatewayError` 422. `model` becomes None for the base model."""
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
