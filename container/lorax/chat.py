"""OpenAI's chat completions through LoRAX's, and what is odd about LoRAX's put right."""

from __future__ import annotations

from collections.abc import Iterator

from container.gateway.errors import GatewayError
from container.gateway.request_context import Usage
from container.gateway.schemas.openai import ChatRequest, Json
from container.lorax.openai_answer import OpenAIAnswer, StopText
from container.lorax.text import check_supported

#: What LoRAX's chat schema does not have, or has and ignores.
_REFUSED = ("logit_bias", "logprobs", "top_logprobs")
#: LoRAX says content_filter for a stop sequence; it has no content filter.
_STOP_SEQUENCE = "content_filter"


def chat_body(request: ChatRequest, adapter: str | None, *, default_new_tokens: int) -> Json:
    """LoRAX's request; raises `GatewayError` 422 for what LoRAX cannot do."""
    check_supported(request, _REFUSED)
    if request.tools and request.stream:
        raise GatewayError.validation(
            "`tools` in a stream are not supported by this endpoint's engine, LoRAX"
        )
    taken = {
        "messages", "temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty",
        "repetition_penalty", "response_format", "tools", "tool_choice",
    }  # fmt: skip
    body = request.model_dump(exclude_none=True, include=taken)
    body |= {
        # An empty name is the base model.
        "model": adapter or "",
        "max_tokens": request.new_tokens(default_new_tokens),
        "stop": request.stops,
        "ignore_eos_token": bool(request.ignore_eos),
    }
    if adapter is not None:
        body["adapter_source"] = "s3"
    return body


class ChatAnswer(OpenAIAnswer):
    """Turns LoRAX's answer, or the events of its stream, into OpenAI's."""

    def __init__(self, request: ChatRequest, base_model: str, usage: Usage) -> None:
        """`usage` is filled in."""
        super().__init__(request, base_model, usage, prefix="chatcmpl")
        self._stop_text = StopText(request.stops)
        self._begun = False
        self.finished = False

    def whole(self, answer: Json) -> Json:
        """A whole answer."""
        try:
            (choice,) = answer["choices"]
            message, reason = choice["message"], choice["finish_reason"]
            self._count(answer)
        except (KeyError, TypeError, ValueError):
            raise GatewayError.generation() from None
        content = message.get("content")
        if content is not None:
            content = self._stop_text.cut(content, stopped=reason == _STOP_SEQUENCE)
        said = {"role": "assistant", "content": content}
        if message.get("tool_calls"):
            said["tool_calls"] = message["tool_calls"]
        return self.answer({"index": 0, "message": said, "logprobs": None, "finish_reason": _reason(reason)})

    def chunks(self, event: Json) -> Iterator[Json]:
        """What one event becomes; the last one also gives the usage if it is asked for."""
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
