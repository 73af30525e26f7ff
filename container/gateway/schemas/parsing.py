"""Parsing of request bodies: JSON limits, then the schema of LoRAX or OpenAI."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

from container.gateway.errors import GatewayError
from container.gateway.schemas.lorax import read_generate_request
from container.gateway.schemas.openai import ChatRequest, Kind, Request, TextRequest, read_openai_request

Read = Callable[[Any], Request]
#: Maximum of list items and object members. A chat of a thousand messages with its tools has fewer. All are
#: checked on the event loop, so all other requests, /ping included, wait meanwhile.
MAX_VALUES = 10_000
#: Maximum nesting depth; orjson cannot encode more than 254 levels again.
MAX_LEVELS = 64
#: Maximum of brackets, those in prompts included: a million lists take half a second to create and to free.
MAX_BRACKETS = 100_000


class Reader:
    """Parser of request bodies; each method raises `GatewayError`."""

    def __init__(self, *, base_model: str, max_new_tokens: int) -> None:
        """`base_model` is the base model's name, `max_new_tokens` the limit of a request."""
        self._base_model = base_model
        self._max_new_tokens = max_new_tokens

    def generate(self, data: Any) -> Request:
        """Read LoRAX's schema."""
        return self._lorax(data, stream=False)

    def generate_stream(self, data: Any) -> Request:
        """Read LoRAX's schema as a request for a stream."""
        return self._lorax(data, stream=True)

    def chat(self, data: Any) -> Request:
        """Read OpenAI's chat completion schema."""
        return self._openai(data, ChatRequest)

    def text(self, data: Any) -> Request:
        """Read OpenAI's text completion schema."""
        return self._openai(data, TextRequest)

    def any(self, data: Any) -> Request:
        """Read the schema whose one mandatory field is present."""
        schemas: dict[str, Read] = {"inputs": self.generate, "messages": self.chat, "prompt": self.text}
        found = [name for name in schemas if isinstance(data, dict) and name in data]
        if len(found) != 1:
            raise GatewayError.validation("give one of `inputs` (LoRAX), `messages` and `prompt` (OpenAI)")
        return schemas[found[0]](data)

    def _lorax(self, data: Any, *, stream: bool) -> Request:
        request = read_generate_request(data, max_new_tokens=self._max_new_tokens, stream=stream)
        if request.adapter == self._base_model:
            # No adapter can have this name: in OpenAI's schema it means the base model.
            raise GatewayError.validation("`adapter_id`: that is the base model; leave it out to ask it")
        return request

    def _openai(self, data: Any, kind: Kind) -> Request:
        return read_openai_request(
            data, kind, base_model=self._base_model, max_new_tokens=self._max_new_tokens
        )


def read_json(body: bytes) -> Any:
    """Decode a body; raise `GatewayError` 400, or 422 if it has too many values or levels, or a key twice."""
    if body.count(b"[") + body.count(b"{") > MAX_BRACKETS:
        raise GatewayError.validation(f"the body has more than {MAX_BRACKETS} brackets")
    try:
        data = orjson.loads(body)
    except ValueError:
        raise GatewayError(400, "invalid_json", "The request body is not valid JSON") from None
    _check_shape(data)
    _check_keys(body)
    return data


def _check_keys(body: bytes) -> None:
    """Refuse an object with a key twice: of two adapters, one would answer without a word about the other.

    orjson keeps the last one, as vLLM does; LoRAX refuses both (serde). Reading once more takes 9 µs for a
    body of 1 kB, and 1 ms for one of 100 kB.
    """
    try:
        json.loads(body, object_pairs_hook=_unique)
    except RecursionError:
        # The levels of what orjson has kept are checked.
        raise GatewayError.validation("the body has a key twice, one with too many levels") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # The name comes from the client, and may have any length.
        raise GatewayError.validation(f"`{_first_twice(pairs)[:50]}` is in the body twice; keep one of them")
    return found


def _first_twice(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            break
        seen.add(key)
    return key


def _check_shape(data: Any) -> None:
    level, values = [data], 0
    for _ in range(MAX_LEVELS):
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return
        values += sum(map(len, level))
        if values > MAX_VALUES:
            break
        level = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
    raise GatewayError.validation(f"the body has more than {MAX_VALUES} values or {MAX_LEVELS} levels")
