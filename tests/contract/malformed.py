"""Malformed request bodies."""

import gzip
import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

#: Somewhere in each body; it must not be in the log.
SECRET = "tell-nobody"
ROUTES = (
    "/invocations",
    "/",
    "/generate",
    "/generate_stream",
    "/v1/chat/completions",
    "/v1/completions",
)
MIB = 1024 * 1024
_FIELDS = (
    *("inputs", "parameters", "stream", "messages", "prompt", "model", "max_tokens", "max_completion_tokens"),
    *("temperature", "top_p", "top_k", "n", "stop", "stream_options", "seed", "logit_bias"),
    *(
        "response_format",
        "logprobs",
        "top_logprobs",
        "tools",
        "tool_choice",
        "echo",
        "user",
        "repetition_penalty",
    ),
)
_PARAMETERS = (
    *("adapter_id", "adapter_source", "merged_adapters", "api_token", "best_of", "temperature", "top_k"),
    *("top_p", "typical_p", "do_sample", "max_new_tokens", "ignore_eos_token", "return_full_text", "stop"),
    *("truncate", "watermark", "details", "decoder_input_details", "return_k_alternatives", "seed"),
)


@dataclass(frozen=True)
class Malformed:
    """A body, and the expected response."""

    name: str
    body: bytes
    status: int
    error_type: str


def _nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


def _chat(field: str) -> str:
    return f'{{"messages": [{{"role": "user", "content": "{SECRET}"}}], {field}}}'


def _lorax(parameter: str) -> str:
    return f'{{"inputs": "{SECRET}", "parameters": {{{parameter}}}}}'


def _many(item: str, size: int = 2 * MIB - 4096) -> str:
    return ",".join([item] * (size // (len(item) + 1)))


def _entries(value: str, size: int = MIB) -> str:
    return ",".join(f'"k{number}": {value}' for number in range(size // (len(value) + 10)))


def _not_json() -> list[Malformed]:
    bodies = {
        "nothing": b"",
        "a half": _lorax('"stop": [')[:-2].encode(),
        "not UTF-8": b'{"inputs": "' + SECRET.encode() + b'\xff\xfe"}',
        "UTF-16": json.dumps({"inputs": SECRET}).encode("utf-16"),
        "a byte order mark": b"\xef\xbb\xbf" + json.dumps({"inputs": SECRET}).encode(),
        "half of a surrogate pair": _lorax('"stop": ["\\ud800"]').encode(),
        "NaN": _lorax('"temperature": NaN').encode(),
        "infinity": _lorax('"temperature": -Infinity').encode(),
        "a number above all floats": _lorax('"temperature": 1e400').encode(),
        "an integer of 100,000 digits": _lorax('"max_new_tokens": ' + "9" * 100_000).encode(),
        "2,000 levels": _nested(2_000).encode(),
        "10,000 opening brackets": b"[" * 10_000,
        "zeros": bytes(MIB),
    }
    return [Malformed(name, body, 400, "invalid_json") for name, body in bodies.items()]


def _ambiguous() -> list[Malformed]:
    """Bodies with a key twice in one object, of which engines keep the last or none."""
    places = {
        "model": f'{{"model": "otter", "model": "heron", "prompt": "{SECRET}"}}',
        "adapter_id": _lorax('"adapter_id": "otter", "adapter_id": "heron"'),
        "parameters": f'{{"inputs": "{SECRET}", "parameters": {{"adapter_id": "otter"}}, "parameters": {{}}}}',
        "an escaped key": _lorax('"adapter_id": "otter", "adapter\\u005fid": "heron"'),
        "a replaced value of 1,000 levels": f'{{"prompt": {_nested(1_000)}, "prompt": "{SECRET}"}}',
    }
    return [Malformed(f"twice: {name}", body.encode(), 422, "validation") for name, body in places.items()]


def _deep() -> list[Malformed]:
    """Bodies nested too deep to be serialized again, but not too deep to be parsed."""
    places = {
        "tools": _chat(f'"tools": [{{"a": {_nested(600)}}}]'),
        "a tool choice": _chat(f'"tool_choice": {{"a": {_nested(600)}}}'),
        "a response format": _chat(f'"response_format": {{"a": {_nested(600)}}}'),
        "tool calls": f'{{"messages": [{{"role": "assistant", "tool_calls": [{{"a": {_nested(600)}}}]}}]}}',
        "a prompt": f'{{"prompt": {_nested(600)}}}',
        "merged adapters": _lorax(f'"merged_adapters": {_nested(600)}'),
    }
    return [
        Malformed(f"600 levels in {name}", body.encode(), 422, "validation") for name, body in places.items()
    ]


def _long() -> list[Malformed]:
    """Bodies with as many valid or invalid elements as fit."""
    places = {
        "messages that are none": f'{{"messages": [{_many("1")}]}}',
        "messages of wrong fields": f'{{"messages": [{_many(chr(123) + chr(34) + "a" + chr(34) + ":1}")}]}}',
        "empty messages": f'{{"messages": [{_many(json.dumps({"role": "a", "content": ""}))}]}}',
        "parts of a message": f'{{"messages": [{{"role": "a", "content": [{_many("1")}]}}]}}',
        "tools that are none": _chat(f'"tools": [{_many("1")}]'),
        "empty tools": _chat(f'"tools": [{_many("{}")}]'),
        "stop sequences": f'{{"prompt": "{SECRET}", "stop": [{_many("1")}]}}',
        "stop sequences of LoRAX": _lorax(f'"stop": [{_many("1")}]'),
        "biases that are none": f'{{"prompt": "{SECRET}", "logit_bias": {{{_entries(chr(34) * 2)}}}}}',
        "biases": f'{{"prompt": "{SECRET}", "logit_bias": {{{_entries("1")}}}}}',
        "unknown fields": f'{{"prompt": "{SECRET}", {_entries("1")}}}',
        "empty lists": f'{{"inputs": [{_many("[]")}]}}',
        "lists in a tool": _chat(f'"tools": [{{"a": [{_many("[]")}]}}]'),
        "fields of a message": f'{{"messages": [{{"role": "a", {_entries("1")}}}]}}',
        "fields of a part": f'{{"messages": [{{"role": "a", "content": [{{{_entries("1")}}}]}}]}}',
    }
    return [Malformed(f"2 MiB of {name}", body.encode(), 422, "validation") for name, body in places.items()]


def _wrong() -> list[Malformed]:
    adapter = "x" * (2 * MIB - 4096)
    bodies = {
        "a seed above 63 bits": _lorax('"seed": 9223372036854775808'),
        "more tokens than there are": '{"prompt": "x", "max_tokens": 18446744073709551615}',
        "the same field twice": f'{{"inputs": "{SECRET}", "inputs": {{}}}}',
        "a name of 2 MiB": _lorax(f'"adapter_id": "{adapter}"'),
        "a revision of 2 MiB": _lorax(f'"adapter_id": "a@{adapter}"'),
        "a model of 2 MiB": f'{{"prompt": "x", "model": "{adapter}"}}',
        "a source of 2 MiB": _lorax(f'"adapter_source": "{adapter}"'),
        "a field whose name has 2 MiB": f'{{"prompt": "x", "{adapter}": 1}}',
        "a prompt of 2 MiB": json.dumps({"inputs": "x " * (MIB - 4096)}),
        "a model that is a list": '{"prompt": "x", "model": []}',
        "two schemas at once": f'{{"inputs": "{SECRET}", "prompt": "x"}}',
        "no schema": "[]",
        "a lone number": "1",
    }
    return [Malformed(name, body.encode(), 422, "validation") for name, body in bodies.items()]


NAMED = [
    *_not_json(),
    *_ambiguous(),
    *_deep(),
    *_long(),
    *_wrong(),
    Malformed("more than 2 MiB", json.dumps({"inputs": "x" * 2 * MIB}).encode(), 413, "body_too_large"),
]
#: 300 MB of text in 300 kB.
BOMB = gzip.compress(b'{"inputs": "' + b"x" * 300_000_000 + b'"}')

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
_anything = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_message = st.fixed_dictionaries(
    {}, optional={"role": _anything, "content": _anything, "tool_calls": _anything, "name": _anything}
)
_parameters = st.dictionaries(st.sampled_from(_PARAMETERS), _anything, max_size=4)


def _body(field: str) -> st.SearchStrategy[Any]:
    likely = {"parameters": _parameters, "messages": st.lists(_message, max_size=3), "stream": st.booleans()}
    return _anything | likely.get(field, _anything) | st.text(min_size=1, max_size=20)


#: Objects with fields of the three schemas, most of whose values are of a wrong type.
wrong_requests = st.sets(st.sampled_from(_FIELDS), min_size=1, max_size=5).flatmap(
    lambda names: st.fixed_dictionaries({name: _body(name) for name in sorted(names)})
)
any_json = _anything
