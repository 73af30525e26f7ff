"""LoRAX's request schema, with the rules of LoRAX 0.12.1 and the gateway's limits.

LoRAX ignores unknown keys. Here they are refused, because one of them may name an adapter, and the base model
would answer: docs/decisions/0011-unknown-keys.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import Field

from container.gateway.errors import GatewayError
from container.gateway.schemas.adapter_names import BASE_MODEL_IDS
from container.gateway.schemas.known_keys import refuse_unknown
from container.gateway.schemas.other_servers import OTHER_KEYS
from container.gateway.schemas.validation import RequestObject, validated

#: LoRAX's defaults for MAX_BEST_OF and MAX_STOP_SEQUENCES.
MAX_BEST_OF = 2
MAX_STOP_SEQUENCES = 4
#: The largest seed that both engines accept (LoRAX: 64 bits unsigned, vLLM: signed).
MAX_SEED = 2**63 - 1

Text = Annotated[str, Field(min_length=1)]
#: LoRAX stores these in 32 bits.
Positive = Annotated[int, Field(gt=0, le=2**31 - 1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]


class Parameters(RequestObject):
    """`parameters` of a request."""

    adapter_id: str | None = None
    adapter_source: str | None = None
    best_of: Annotated[int, Field(ge=1, le=MAX_BEST_OF)] | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    top_k: Positive | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    typical_p: Annotated[float, Field(gt=0, lt=1)] | None = None
    do_sample: bool = False
    max_new_tokens: Positive | None = None
    ignore_eos_token: bool = False
    return_full_text: bool | None = None
    stop: Annotated[list[Text], Field(max_length=MAX_STOP_SEQUENCES)] = Field(default_factory=list)
    truncate: Positive | None = None
    watermark: bool = False
    details: bool = False
    decoder_input_details: bool = False
    return_k_alternatives: Positive | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    response_format: Any = None

    @property
    def samples(self) -> bool:
        """True if tokens are sampled, False if decoding is greedy; LoRAX's rule."""
        if self.temperature == 0:
            return False
        return (
            self.do_sample
            or self.temperature not in (None, 1)
            or self.top_k is not None
            or (self.top_p is not None and self.top_p < 1)
            or self.typical_p is not None
        )


class Options(RequestObject):
    """`options` of Hugging Face's inference API; they have no meaning at an endpoint and are ignored."""

    use_cache: bool = True
    use_gpu: bool = True
    wait_for_model: bool = True


class GenerateRequest(RequestObject):
    """A prompt and its generation parameters."""

    adapter_field: ClassVar[str] = "parameters.adapter_id"
    prompt_field: ClassVar[str] = "inputs"
    tokens_field: ClassVar[str] = "max_new_tokens"

    inputs: Text
    parameters: Parameters = Parameters()
    options: Options = Options()
    stream: bool = False

    @property
    def adapter(self) -> str | None:
        """The requested adapter, None for the base model."""
        asked = self.parameters.adapter_id
        return None if asked in BASE_MODEL_IDS else asked

    def new_tokens(self, default: int) -> int:
        """Return the maximum number of tokens to generate."""
        return self.parameters.max_new_tokens or default


#: The objects of a request, by their key; "" is the request itself.
_KINDS: Mapping[str, type[RequestObject]] = MappingProxyType(
    {"": GenerateRequest, "options": Options, "parameters": Parameters}
)
#: The request for one token: it warms the engine up, checks that it generates, and has it load an adapter.
ONE_TOKEN = GenerateRequest(inputs="Hello", parameters=Parameters(max_new_tokens=1))


def read_generate_request(
    data: Any, *, base_model: str, max_new_tokens: int, stream: bool = False
) -> GenerateRequest:
    """Validate a request's JSON; `stream` overrides its own `stream`.

    Raises `GatewayError` 422 if it breaks a rule. The message never repeats the client's values, which may be
    a prompt.
    """
    if isinstance(data, dict) and isinstance(data.get("inputs"), list):
        raise GatewayError.validation(
            "`inputs`: must be one string: send a request for each prompt, and a conversation as `messages`"
        )
    request = validated(GenerateRequest, _known(data, base_model))
    if stream:
        request = request.model_copy(update={"stream": True})
    _check(request, base_model, max_new_tokens)
    return request


def _known(data: Any, base_model: str) -> Any:
    """Return a request without other servers' neutral keys; raise `GatewayError` for an unknown key."""
    if not isinstance(data, dict):
        return data
    data = _not_neutral(data)
    parameters = data.get("parameters")
    if isinstance(parameters, dict):
        data["parameters"] = _not_neutral(parameters)
    for place, kind in _KINDS.items():
        found = data.get(place) if place else data
        if isinstance(found, dict):
            refuse_unknown(
                found,
                kind,
                place=place,
                adapter_field=GenerateRequest.adapter_field,
                base_model=base_model,
                remedy=_remedy,
            )
    return data


def _not_neutral(data: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in data.items()
        if name not in OTHER_KEYS or not OTHER_KEYS[name].is_neutral(value)
    }


def _remedy(name: str) -> str | None:
    if name in OTHER_KEYS:
        return OTHER_KEYS[name].remedy
    if name in Parameters.model_fields:
        return "write it in `parameters`"
    if name == GenerateRequest.prompt_field:
        return "is a key of the body itself: leave it out here"
    return "write it beside `inputs`" if name in GenerateRequest.model_fields else None


def _check(request: GenerateRequest, base_model: str, max_new_tokens: int) -> None:
    asked = request.parameters
    if request.adapter == base_model:
        # No adapter can have this name: in OpenAI's schema it means the base model.
        raise GatewayError.validation("`parameters.adapter_id`: is the base model: leave it out")
    if asked.adapter_source is not None and asked.adapter_source.lower() != "s3":
        raise GatewayError.validation(
            "`parameters.adapter_source` must be s3, or left out: adapters are registered"
        )
    if asked.max_new_tokens is not None and asked.max_new_tokens > max_new_tokens:
        raise GatewayError.validation(f"`parameters.max_new_tokens` must be <= {max_new_tokens}")
    if asked.best_of is not None and asked.best_of > 1:
        if request.stream:
            raise GatewayError.validation(
                "`parameters.best_of` != 1 is not supported in a stream: leave it out"
            )
        if not asked.samples:
            raise GatewayError.validation("you must use sampling when `parameters.best_of` is > 1")
        if asked.seed is not None:
            raise GatewayError.validation(
                "`parameters.seed` must not be set when `parameters.best_of` is > 1"
            )
    if request.stream and asked.decoder_input_details:
        raise GatewayError.validation(
            "`parameters.decoder_input_details` is not supported in a stream: leave it out"
        )
