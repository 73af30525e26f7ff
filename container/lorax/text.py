"""OpenAI's text completions through LoRAX's `/generate`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from container.gateway.errors import GatewayError
from container.gateway.request_context import Usage
from container.gateway.schemas.lorax import GenerateRequest, Parameters
from container.gateway.schemas.openai import Json, OpenAIRequest, TextRequest
from container.lorax.openai_answer import OpenAIAnswer, StopText

#: OpenAI's finish reason for each of LoRAX's.
_FINISH_REASONS = {"length": "length", "eos_token": "stop", "stop_sequence": "stop"}
#: Fields without a counterpart in LoRAX.
_REFUSED = ("logit_bias", "logprobs", "response_format")


def generate_request(request: TextRequest) -> GenerateRequest:
    """Translate a request to LoRAX's schema; raise `GatewayError` 422 for what LoRAX does not have."""
    check_supported(request, _REFUSED)
    given: dict[str, Any] = {
        "temperature": request.temperature or None,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "seed": request.seed,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "repetition_penalty": request.repetition_penalty,
        "max_new_tokens": request.max_tokens,
        "stop": request.stops or None,
        "ignore_eos_token": request.ignore_eos,
    }
    parameters = {name: value for name, value in given.items() if value is not None}
    # OpenAI samples by default, LoRAX decodes greedily by default.
    parameters |= {"do_sample": request.temperature != 0, "details": True}
    return GenerateRequest(inputs=request.prompt, parameters=Parameters(**parameters))


class TextAnswer(OpenAIAnswer):
    """Translates LoRAX's answer, or the events of its stream, to OpenAI's."""

    def __init__(self, request: TextRequest, base_model: str, usage: Usage) -> None:
        """`usage` is filled in by the backend."""
        super().__init__(request, base_model, usage, prefix="cmpl")
        self._echo = request.prompt if request.echo else ""
        self._stop_text = StopText(request.stops)

    def whole(self, answer: Json) -> Json:
        """Translate the answer of `/generate`."""
        reason = answer["details"]["finish_reason"]
        text = self._stop_text.cut(answer["generated_text"], stopped=reason == "stop_sequence")
        return self.answer(self._choice(self._echo + text, reason))

    def chunks(self, event: Json) -> Iterator[Json]:
        """Translate an event of `/generate_stream`; the last one also yields the usage chunk if requested."""
        last = event["generated_text"] is not None
        token = event["token"]
        reason = event["details"]["finish_reason"] if last else None
        text = "" if token["special"] else token["text"]
        text = self._stop_text.feed(text, last=last, stopped=reason == "stop_sequence")
        if text or last:
            yield self.chunk(self._choice(self._echo + text, reason))
            self._echo = ""
        if last:
            yield from self.usage_chunk()

    def _choice(self, text: str, reason: str | None) -> Json:
        finish_reason = None if reason is None else _FINISH_REASONS[reason]
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}


def check_supported(request: OpenAIRequest, refused: tuple[str, ...]) -> None:
    """Raise `GatewayError` 422 if one of these fields asks for something, or `n` is above 1."""
    for name in refused:
        if _asks(request, name):
            raise GatewayError.validation(
                f"`{name}` is not supported by this endpoint's engine, LoRAX: leave it out"
            )
    if (request.n or 1) > 1:
        raise GatewayError.validation("`n` must be 1 on this endpoint's engine, LoRAX")


def _asks(request: OpenAIRequest, name: str) -> bool:
    """Return whether a field asks for more than what happens without it."""
    if name == "logprobs" and isinstance(request, TextRequest):
        # 0 asks for those of the tokens themselves.
        return request.logprobs is not None
    if name == "response_format":
        return asks_for_format(request)
    return bool(getattr(request, name))


def asks_for_format(request: OpenAIRequest) -> bool:
    """Return whether the `response_format` is another one than text."""
    return request.response_format is not None and request.response_format.type != "text"
