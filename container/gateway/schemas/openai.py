"""OpenAI's chat and text completion request schemas, with the gateway's limits.

Unknown fields are refused by name. An engine would ignore them and answer another request than the client's,
or offer functions that clients must not use (vLLM: templates, other sources of adapters).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from container.gateway.errors import GatewayError
from container.gateway.schemas.adapter_names import BASE_MODEL_IDS, shortened
from container.gateway.schemas.chat import MAX_ITEMS, Message, NamedTool, Tool
from container.gateway.schemas.known_keys import refuse_unknown
from container.gateway.schemas.lorax import (
    MAX_SEED,
    MAX_STOP_SEQUENCES,
    GenerateRequest,
    Penalty,
    Positive,
    Text,
)
from container.gateway.schemas.other_servers import OtherKey
from container.gateway.schemas.validation import RequestObject, set_fields, validated

#: One JSON object as it goes to the client: the answer, or one event of a stream.
Json = dict[str, Any]
#: Maximum of `n`; each choice is a separate generation.
MAX_CHOICES = 8
#: OpenAI's limits for the alternatives returned for each token.
MAX_TOP_LOGPROBS = 20
MAX_TEXT_LOGPROBS = 5
#: Accepted and ignored: they have a meaning in OpenAI's service or for the client only.
IGNORED = frozenset(
    {
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        # LiteLLM 1.110.2 sends this setting of the client.
        "sagemaker_base_url",
    }
)
_NO_BEAMS = "there is no beam search: leave it out"
#: Fields of OpenAI's and vLLM's schemas that this one has not, by their path.
OTHER_FIELDS: Mapping[str, OtherKey] = MappingProxyType(
    {
        "best_of": OtherKey("write `n`, if the engine is vLLM", (1,)),
        "function_call": OtherKey("write `tool_choice`"),
        "functions": OtherKey("write `tools`", ([],)),
        "guided_json": OtherKey("write `response_format`"),
        "include_stop_str_in_output": OtherKey("a stop sequence is not in the text: leave it out", (False,)),
        "length_penalty": OtherKey(_NO_BEAMS, (1,)),
        "max_new_tokens": OtherKey("write `max_tokens`"),
        "min_p": OtherKey("it is not supported: write `top_p` or `top_k`", (0,)),
        "min_tokens": OtherKey("it is not supported: leave it out", (0,)),
        "modalities": OtherKey("answers are text: leave it out", (["text"],)),
        "skip_special_tokens": OtherKey("the text never has special tokens: leave it out", (True,)),
        "stream_options.continuous_usage_stats": OtherKey("write `include_usage`", (False,)),
        "stream_options.include_obfuscation": OtherKey("streams have no padding: leave it out", (False,)),
        "structured_outputs": OtherKey("write `response_format`"),
        "suffix": OtherKey("write the model's own format for filling in, in `prompt`", ("",)),
        "use_beam_search": OtherKey(_NO_BEAMS, (False,)),
    }
)
#: A token's id as a key: other text would be quoted in vLLM's message, and vLLM takes long to clean that.
TokenId = Annotated[str, Field(pattern="^[0-9]{1,9}$")]
#: A null is a key that is not set, here as well.
Biases = Annotated[dict[TokenId, float], BeforeValidator(set_fields)]
#: Values of `top_k` that mean all tokens to vLLM, as if it were absent.
_ALL_TOKENS = (-1, 0)


class StreamOptions(RequestObject):
    """`stream_options`."""

    include_usage: bool = False


class JsonSchema(RequestObject):
    """The `json_schema` of a `response_format`; nulls in the schema itself stay."""

    name: Text
    description: str | None = None
    json_schema: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class ResponseFormat(RequestObject):
    """`response_format`; `schema` is LoRAX's older place for the schema of a `json_object`."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    older_schema: dict[str, Any] | None = Field(None, alias="schema")


class OpenAIRequest(RequestObject):
    """Fields of both kinds of request."""

    object: ClassVar[str]
    adapter_field: ClassVar[str] = "model"
    prompt_field: ClassVar[str]

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
    logit_bias: Annotated[Biases, Field(max_length=MAX_ITEMS)] | None = None
    response_format: ResponseFormat | None = None
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

    @property
    def tokens_field(self) -> str:
        """The field that limits the number of tokens, as the client wrote it."""
        return "max_tokens"

    def new_tokens(self, default: int) -> int:
        """Return the maximum number of tokens to generate."""
        return self.asked_tokens or default


class ChatRequest(OpenAIRequest):
    """`/v1/chat/completions`."""

    object = "chat.completion"
    prompt_field = "messages"

    messages: Annotated[list[Message], Field(fail_fast=True, min_length=1, max_length=MAX_ITEMS)]
    max_completion_tokens: Positive | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    tools: Annotated[list[Tool], Field(fail_fast=True, max_length=MAX_ITEMS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None

    @property
    def asked_tokens(self) -> int | None:
        """The maximum number of tokens that the client asks for; the newer field has priority."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def tokens_field(self) -> str:
        """The field that limits the number of tokens, as the client wrote it."""
        return "max_completion_tokens" if self.max_completion_tokens else "max_tokens"

    @property
    def may_call_tools(self) -> bool:
        """True if the answer may be a tool call."""
        return bool(self.tools) and self.tool_choice != "none"


class TextRequest(OpenAIRequest):
    """`/v1/completions`."""

    object = "text_completion"
    prompt_field = "prompt"

    prompt: Text
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=MAX_TEXT_LOGPROBS)] | None = None


Kind = type[ChatRequest] | type[TextRequest]
#: A checked request of any schema.
Request = GenerateRequest | OpenAIRequest


def read_openai_request(data: Any, kind: Kind, *, base_model: str, max_new_tokens: int) -> OpenAIRequest:
    """Validate a request's JSON; raise `GatewayError` 422. `model` becomes None for the base model."""
    if isinstance(data, dict):
        for name, value in data.items():
            if isinstance(value, dict | list) and len(value) > MAX_ITEMS:
                raise GatewayError.validation(f"`{shortened(name)}`: takes at most {MAX_ITEMS} items")
        data = {name: value for name, value in set_fields(data).items() if name not in IGNORED}
        if data.get("model") in (*BASE_MODEL_IDS, base_model):
            del data["model"]
        if type(data.get("top_k")) is int and data["top_k"] in _ALL_TOKENS:
            del data["top_k"]
        data = _checked(data, kind, "", kind, base_model)
        if isinstance(data.get("stream_options"), dict):
            data["stream_options"] = _checked(
                data["stream_options"], StreamOptions, "stream_options", kind, base_model
            )
        if isinstance(data.get("prompt"), list):
            data["prompt"] = _only_text(data["prompt"])
    request = validated(kind, data)
    asked = request.asked_tokens
    if asked is not None and asked > max_new_tokens:
        raise GatewayError.validation(f"`{request.tokens_field}` must be <= {max_new_tokens}")
    asked_format = request.response_format
    if asked_format is not None and asked_format.type == "json_schema" and asked_format.json_schema is None:
        raise GatewayError.validation("`response_format.json_schema`: is missing")
    if isinstance(request, ChatRequest):
        _check_messages(request)
        return _with_checked_tools(request)
    return request


def _checked(data: Json, part: type[RequestObject], place: str, kind: Kind, base_model: str) -> Json:
    """Return an object at `place` without neutral fields; raise `GatewayError` for a field it has not."""

    def other(name: str) -> OtherKey | None:
        return OTHER_FIELDS.get(f"{place}.{name}" if place else name)

    def remedy(name: str) -> str | None:
        key = other(name)
        return None if key is None else key.remedy

    data = {
        name: value
        for name, value in data.items()
        if (key := other(name)) is None or not key.is_neutral(value)
    }
    refuse_unknown(
        data,
        part,
        place=place,
        adapter_field=kind.adapter_field,
        base_model=base_model,
        remedy=remedy,
    )
    return data


def _only_text(prompts: list[Any]) -> str:
    """Return the prompt of a list of one, as LangChain sends it; raise `GatewayError` for another list."""
    if len(prompts) == 1 and isinstance(prompts[0], str):
        return prompts[0]
    raise GatewayError.validation(
        "`prompt`: must be one string: send a request for each prompt; token ids are not taken"
    )


def _check_messages(request: ChatRequest) -> None:
    """Raise `GatewayError` for a message without content; an answer of the assistant may have none."""
    for index, message in enumerate(request.messages):
        if message.content is None and message.role != "assistant":
            raise GatewayError.validation(f"`messages.{index}.content`: is missing")


def _with_checked_tools(request: ChatRequest) -> ChatRequest:
    """Return the request, without a choice among no tools; raise `GatewayError` for a choice that is none."""
    choice = request.tool_choice
    names = {tool.function.name for tool in request.tools or ()}
    if isinstance(choice, NamedTool) and choice.function.name not in names:
        raise GatewayError.validation("`tool_choice.function.name`: is none of the functions in `tools`")
    if names:
        return request
    if choice == "required":
        raise GatewayError.validation('`tool_choice`: is "required", and `tools` has no function')
    return request.model_copy(update={"tools": None, "tool_choice": None, "parallel_tool_calls": None})
