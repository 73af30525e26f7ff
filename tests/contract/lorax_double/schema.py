"""The requests of LoRAX's own schema (router/src/lib.rs)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.contract.lorax_double.adapter import AdapterParameters
from tests.contract.lorax_double.json_body import (
    REQUIRED,
    Fields,
    Mismatch,
    anything,
    boolean,
    f32,
    i32,
    optional,
    sequence,
    string,
    struct,
    u32,
    u64,
    usize,
)

#: `default_json_schema`; it applies to any type, "text" included.
ANY_OBJECT: Mapping[str, Any] = {"title": "ArbitraryJsonModel", "type": "object"}
_FORMATS = ("Text", "JsonObject", "JsonSchema", "text", "json_object", "json_schema")


@dataclass(frozen=True)
class GenerateParameters:
    """`parameters`; unknown fields are ignored, `apply_chat_template` is, too."""

    adapter_id: str | None = None
    adapter_source: str | None = None
    merged_adapters: AdapterParameters | None = None
    api_token: str | None = None
    best_of: int | None = None
    temperature: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    typical_p: float | None = None
    do_sample: bool = False
    max_new_tokens: int | None = None
    ignore_eos_token: bool = False
    return_full_text: bool | None = None
    stop: Sequence[str] = ()
    truncate: int | None = None
    watermark: bool = False
    details: bool = False
    decoder_input_details: bool = False
    return_k_alternatives: int | None = None
    seed: int | None = None
    response_format: Any = None
    """The schema that the answer has to fit, or None."""


@dataclass(frozen=True)
class GenerateRequest:
    inputs: str
    parameters: GenerateParameters = GenerateParameters()
    stream: bool = False
    add_special_tokens: bool = True


@dataclass(frozen=True)
class TokenizeRequest:
    inputs: str
    add_special_tokens: bool | None = None


def format_type(value: Any) -> str:
    if value not in _FORMATS:
        expected = ", ".join(f"`{name}`" for name in _FORMATS[:3])
        raise Mismatch(f"unknown variant `{value}`, expected one of {expected}")
    return str(value)


def _response_format(**fields: Any) -> Any:
    return fields["schema"]


_MERGED: Fields = {
    "ids": (sequence(string), REQUIRED),
    "weights": (sequence(f32), ()),
    "merge_strategy": (optional(string), None),
    "density": (f32, 0.0),
    "majority_sign_method": (optional(string), None),
}
_RESPONSE_FORMAT: Fields = {
    "type": (format_type, REQUIRED),
    "schema": (optional(anything), ANY_OBJECT),
}
_PARAMETERS: Fields = {
    "adapter_id": (optional(string), None),
    "adapter_source": (optional(string), None),
    "merged_adapters": (optional(struct(AdapterParameters, _MERGED)), None),
    "api_token": (optional(string), None),
    "best_of": (optional(usize), None),
    "temperature": (optional(f32), None),
    "repetition_penalty": (optional(f32), None),
    "frequency_penalty": (optional(f32), None),
    "presence_penalty": (optional(f32), None),
    "top_k": (optional(i32), None),
    "top_p": (optional(f32), None),
    "typical_p": (optional(f32), None),
    "do_sample": (boolean, False),
    "max_new_tokens": (optional(u32), None),
    "ignore_eos_token": (boolean, False),
    "return_full_text": (optional(boolean), None),
    "stop": (sequence(string), ()),
    "truncate": (optional(usize), None),
    "watermark": (boolean, False),
    "details": (boolean, False),
    "decoder_input_details": (boolean, False),
    "return_k_alternatives": (optional(i32), None),
    "seed": (optional(u64), None),
    "response_format": (optional(struct(_response_format, _RESPONSE_FORMAT)), None),
}


def _request(*, with_stream: bool) -> Fields:
    fields: Fields = {
        "inputs": (string, REQUIRED),
        "parameters": (struct(GenerateParameters, _PARAMETERS), GenerateParameters()),
    }
    return {**fields, "stream": (boolean, False)} if with_stream else fields


#: /generate and /generate_stream; `/invocations` and `/`.
read_generate = struct(GenerateRequest, _request(with_stream=False))
read_compat_generate = struct(GenerateRequest, _request(with_stream=True))
read_tokenize = struct(
    TokenizeRequest, {"inputs": (string, REQUIRED), "add_special_tokens": (optional(boolean), None)}
)
