"""Parsing of request bodies: JSON limits, then the schema of LoRAX or OpenAI."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from adapters.strict_json import DuplicateKey, unique
from container.gateway.errors import GatewayError
from container.gateway.schemas.adapter_names import check_beside_body, pairs_of, shortened
from container.gateway.schemas.known_keys import is_plain, refuse_unknown
from container.gateway.schemas.lorax import read_generate_request
from container.gateway.schemas.openai import (
    IGNORED,
    ChatRequest,
    Kind,
    Request,
    TextRequest,
    read_openai_request,
)
from container.gateway.schemas.validation import RequestObject

Read = Callable[[Any], Request]
#: Maximum of list items and object members. A chat of a thousand messages with its tools has fewer. All are
#: checked on the event loop, so all other requests, /ping included, wait meanwhile.
MAX_VALUES = 10_000
#: Maximum nesting depth; orjson cannot encode more than 254 levels again.
MAX_LEVELS = 64
#: Maximum of brackets, those in prompts included: a million lists take half a second to create and to free.
MAX_BRACKETS = 100_000
#: Maximum of characters in `metadata`, OpenAI's 16 keys of 64 with values of 512. They are searched for an
#: adapter, which would take 2 s for 2 MiB (https://platform.openai.com/docs/api-reference/chat/create).
MAX_METADATA = 16 * (64 + 512)


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
        if not isinstance(data, dict):
            raise GatewayError.validation("the body must be an object: encode it as JSON once")
        found = [name for name in schemas if data.get(name) is not None]
        if len(found) != 1:
            raise GatewayError.validation("give one of `inputs` (LoRAX), `messages` and `prompt` (OpenAI)")
        return schemas[found[0]](data)

    def _lorax(self, data: Any, *, stream: bool) -> Request:
        return read_generate_request(
            data, base_model=self._base_model, max_new_tokens=self._max_new_tokens, stream=stream
        )

    def _openai(self, data: Any, kind: Kind) -> Request:
        if isinstance(data, dict):
            self._check_ignored(data, kind)
        request = read_openai_request(
            data, kind, base_model=self._base_model, max_new_tokens=self._max_new_tokens
        )
        tags = data.get("metadata")
        if isinstance(tags, dict):
            check = partial(
                check_beside_body,
                field=request.adapter_field,
                asked=request.adapter,
                base_model=self._base_model,
            )
            texts = {name: str(value) for name, value in tags.items() if value is not None}
            if sum(len(name) + len(text) for name, text in texts.items()) > MAX_METADATA:
                raise GatewayError.validation(f"`metadata`: must have at most {MAX_METADATA} characters")
            check("metadata key", texts.items())
            for text in texts.values():
                check("metadata", pairs_of(text))
        return request

    def _check_ignored(self, data: dict[str, Any], kind: Kind) -> None:
        """Refuse a value of an ignored key that has others in it, as one of them may be an adapter."""
        refuse = partial(
            refuse_unknown,
            kind=RequestObject,
            adapter_field=kind.adapter_field,
            base_model=self._base_model,
            remedy=lambda _: "must be one string, number or boolean",
        )
        tags = data.get("metadata")
        ignored = {name: data[name] for name in data if name in IGNORED - {"metadata"}}
        refuse({name: value for name, value in ignored.items() if not is_plain(value)})
        if isinstance(tags, dict):
            refuse({name: value for name, value in tags.items() if not is_plain(value)}, place="metadata")
        elif tags is not None:
            raise GatewayError.validation("`metadata`: must be an object of strings, numbers and booleans")


def read_json(body: bytes) -> Any:
    """Decode a body; raise `GatewayError` 400, or 422 if it is too large, or has a key twice."""
    if body.count(b"[") + body.count(b"{") > MAX_BRACKETS:
        raise GatewayError.validation(f"the body must have at most {MAX_BRACKETS} brackets")
    try:
        data = orjson.loads(body)
    except ValueError:
        raise GatewayError(
            400, "invalid_json", "The request body is not valid JSON: send one JSON object in UTF-8"
        ) from None
    _check_shape(data)
    _check_keys(body)
    return data


def _check_keys(body: bytes) -> None:
    """Refuse an object with a key twice: of two adapters, one would answer without a word about the other.

    orjson keeps the last one, as vLLM does; LoRAX refuses both (serde). Reading once more takes 5 µs (one
    prompt) to 60 µs (empty objects) for 1.2 kB, 0.1 to 0.7 ms for 100 kB, and at most 5 ms for 2 MiB.
    """
    try:
        json.loads(body, object_pairs_hook=unique)
    except DuplicateKey as error:
        raise GatewayError.validation(
            f"the body has the key `{shortened(error.key)}` twice in one object: write it once"
        ) from None
    except RecursionError:
        # The levels of what orjson has kept are checked.
        raise GatewayError.validation(
            "the body has a key twice in one object, with too many levels: write it once"
        ) from None


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
    raise GatewayError.validation(f"the body must have at most {MAX_VALUES} values and {MAX_LEVELS} levels")
