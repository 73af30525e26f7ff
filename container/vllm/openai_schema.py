"""OpenAI's requests as vLLM takes them, and the part of vLLM's answers that OpenAI's schema has.

vLLM 0.32.0 adds fields, such as `stop_reason`, `token_ids`, `reasoning` and `kv_transfer_params`. Clients
would send them back in the next turn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from container.gateway.schemas.openai import ChatRequest, Json, OpenAIRequest

#: The fields of an object, with those of the objects that they hold; None for a plain value.
_Fields = Mapping[str, Any]


def _plain(*names: str) -> _Fields:
    return dict.fromkeys(names)


_TOKEN = _plain("token", "logprob", "bytes")
_LOGPROBS = {
    "content": {**_TOKEN, "top_logprobs": _TOKEN},
    # Those of a text completion; the keys of its `top_logprobs` are tokens.
    **_plain("text_offset", "token_logprobs", "tokens", "top_logprobs"),
}
_TOOL_CALL = {**_plain("index", "id", "type"), "function": _plain("name", "arguments")}
_MESSAGE = {**_plain("role", "content"), "tool_calls": _TOOL_CALL}
_CHOICE = {
    **_plain("index", "text", "finish_reason"),
    "message": _MESSAGE,
    "delta": _MESSAGE,
    "logprobs": _LOGPROBS,
}
_ANSWER = {
    **_plain("id", "object", "created", "model", "system_fingerprint"),
    "choices": _CHOICE,
    "usage": _plain("prompt_tokens", "completion_tokens", "total_tokens"),
}
#: Fields that OpenAI's schema has with null; others are left out then.
_NULLABLE = frozenset({"content", "logprobs", "finish_reason", "bytes"})


def openai_body(request: OpenAIRequest, *, default_new_tokens: int) -> Json:
    """Return vLLM's request, without `model` and `stream`."""
    of_gateway = {"max_completion_tokens", "stream", "stream_options"}
    body = request.model_dump(by_alias=True, exclude_none=True, exclude=of_gateway)
    if isinstance(request, ChatRequest):
        _write_arguments(request, body)
    asked = request.response_format
    if asked is not None and asked.type == "json_object" and asked.older_schema is not None:
        schema = {"name": "answer", "schema": asked.older_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body | {"max_tokens": request.new_tokens(default_new_tokens)}


def _write_arguments(request: ChatRequest, body: Json) -> None:
    """Write each call's arguments as an object of JSON: vLLM fails on some text that a model can write.

    It reads them with Python's JSON (renderers/chat_utils.py), catches `JSONDecodeError` alone, and gives the
    chat template's text to the tokenizer, which refuses half of a surrogate pair.
    """
    for message, written in zip(request.messages, body["messages"], strict=True):
        for call, written_call in zip(message.tool_calls or (), written.get("tool_calls", ()), strict=True):
            values = call.function.values
            if values.keys() == {"arguments"}:
                written_call["function"]["arguments"] = json.dumps(values)


def openai_answer(answer: Json, model: str) -> Json:
    """Return the fields of OpenAI's API in an answer, or in a chunk of a stream; `model` is its model."""
    kept: Json = _kept(answer, _ANSWER)
    return kept | {"model": model}


def _kept(value: Any, fields: _Fields | None) -> Any:
    if isinstance(value, list):
        return [_kept(item, fields) for item in value]
    if fields is None or not isinstance(value, dict):
        return value
    return {
        name: _kept(value[name], inner)
        for name, inner in fields.items()
        if name in value and (value[name] is not None or name in _NULLABLE)
    }
