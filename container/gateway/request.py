"""A request's body, whichever schema it follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from container.gateway.backend import Request
from container.gateway.errors import GatewayError
from container.gateway.lorax_schema import read_generate_request
from container.gateway.openai_schema import ChatRequest, Kind, TextRequest, read_openai_request

Read = Callable[[Any], Request]


class Reader:
    """Reads and checks bodies; each method raises `GatewayError`."""

    def __init__(self, *, base_model: str, max_new_tokens: int) -> None:
        """`base_model` is the base model's name, `max_new_tokens` the most that may be asked for."""
        self._base_model = base_model
        self._max_new_tokens = max_new_tokens

    def generate(self, data: Any) -> Request:
        """LoRAX's schema."""
        return self._lorax(data, stream=False)

    def generate_stream(self, data: Any) -> Request:
        """LoRAX's schema, for a stream whatever it says."""
        return self._lorax(data, stream=True)

    def chat(self, data: Any) -> Request:
        """OpenAI's chat completion schema."""
        return self._openai(data, ChatRequest)

    def text(self, data: Any) -> Request:
        """OpenAI's text completion schema."""
        return self._openai(data, TextRequest)

    def any(self, data: Any) -> Request:
        """The schema whose one mandatory field is there."""
        schemas: dict[str, Read] = {"inputs": self.generate, "messages": self.chat, "prompt": self.text}
        found = [name for name in schemas if isinstance(data, dict) and name in data]
        if len(found) != 1:
            raise GatewayError.validation("give one of `inputs` (LoRAX), `messages` and `prompt` (OpenAI)")
        return schemas[found[0]](data)

    def _lorax(self, data: Any, *, stream: bool) -> Request:
        request = read_generate_request(data, max_new_tokens=self._max_new_tokens, stream=stream)
        if request.adapter == self._base_model:
            # An adapter may not have this name: OpenAI's schema means the base model by it.
            raise GatewayError.validation("`adapter_id`: that is the base model; leave it out to ask it")
        return request

    def _openai(self, data: Any, kind: Kind) -> Request:
        return read_openai_request(
            data, kind, base_model=self._base_model, max_new_tokens=self._max_new_tokens
        )


def read_json(body: bytes) -> Any:
    """The JSON of a body; raises `GatewayError` 400."""
    try:
        return orjson.loads(body)
    except ValueError:
        raise GatewayError(400, "invalid_json", "The request body is not valid JSON") from None
