"""OpenAI's chat completions through LoRAX's, with the corrections that LoRAX's answers need."""

from __future__ import annotations

from collections.abc import Iterator

from container.gateway.errors import GatewayError
from container.gateway.request_context import Usage
from container.gateway.schemas.openai import ChatRequest, Json
from container.lorax.openai_answer import OpenAIAnswer, StopText
from container.lorax.text import check_supported
from container.lorax.tools import message_body, tool_call, tool_fields

#: Fields that LoRAX's chat schema does not have, or ignores.
_REFUSED = ("logit_bias", "logprobs", "top_logprobs")
#: LoRAX's finish reason for a stop sequence; it has no content filter.
_STOP_SEQUENCE = "content_filter"


def chat_body(request: ChatRequest, adapter: str | None, *, default_new_tokens: int) -> Json:
    """Return LoRAX's request; raise `GatewayError` 422 for features that LoRAX does not have."""
    check_supported(request, _REFUSED)
    if request.may_call_tools and request.stream:
        raise GatewayError.validation(
            "`tools` in a stream are not supported by this endpoint's engine, LoRAX: leave `stream` out"
        )
    passed_on = {
        "temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty",
        "repetition_penalty", "response_format",
    }  # fmt: skip
    body = request.model_dump(by_alias=True, exclude_none=True, include=passed_on)
    body |= tool_fields(request)
    body |= {
        "messages": [message_body(message) for message in request.messages],
        # An empty name means the base model.
        "model": adapter or "",
        "max_tokens": request.new_tokens(default_new_tokens),
        "stop": request.stops,
        "ignore_eos_token": bool(request.ignore_eos),
    }
    if adapter is not None:
        body["adapter_source"] = "s3"
    return body


class ChatAnswer(OpenAIAnswer):
    """Translates LoRAX's answer, or the events of its stream, to OpenAI's."""

    def __init__(self, request: ChatRequest, base_model: str, usage: Usage) -> None:
        """`usage` is filled in by the translation."""
        super().__init__(request, base_model, usage, prefix="chatcmpl")
        self._stop_text = StopText(request.stops)
        self._begun = False
        self.finished = False

    def whole(self, answer: Json) -> Json:
        """Translate a whole answer."""
        try:
            (choice,) = answer["choices"]
            message, reason = choice["message"], choice["finish_reason"]
            self._count(answer)
        except (KeyError, TypeError, ValueError):
            raise GatewayError.generation() from None
        content = message.get("content")
        if content is not None:
            content = self._stop_text.cut(content, stopped=reason == _STOP_SEQUENCE)
        translated = {"role": "assistant", "content": content}
        reason = _reason(reason)
        if calls := message.get("tool_calls"):
            translated["tool_calls"] = [tool_call(call) for call in calls]
            reason = "tool_calls" if reason == "stop" else reason
        whole = self.answer({"index": 0, "message": translated, "logprobs": None, "finish_reason": reason})
        fingerprint = answer.get("system_fingerprint")
        return whole if fingerprint is None else whole | {"system_fingerprint": fingerprint}

    def chunks(self, event: Json) -> Iterator[Json]:
        """Translate one event; the last one also yields the usage chunk if requested."""
        try:
            (choice,) = event["choices"]
            reason, text = choice["finish_reason"], choice["delta"].get("content") or ""
        except (KeyError, TypeError, ValueError):
            raise GatewayError.incomplete() from None
        self.finished = reason is not None
        text = self._stop_text.feed(text, last=self.finished, stopped=reason == _STOP_SEQUENCE)
        delta: Json = {} if self._begun else {"role": "assistant"}
        if text or not self._begun:
            delta["content"] = text
        if delta or self.finished:
            self._begun = True
            yield self.chunk({"index": 0, "delta": delta, "logprobs": None, "finish_reason": _reason(reason)})
        if self.finished:
            self._count(event)
            yield from self.usage_chunk()

    def _count(self, answer: Json) -> None:
        counts = answer.get("usage") or {}
        self._usage.prompt_tokens = counts.get("prompt_tokens") or 0
        self._usage.generated_tokens = counts.get("completion_tokens") or 0


def _reason(reason: str | None) -> str | None:
    return "stop" if reason == _STOP_SEQUENCE else reason
