"""What OpenAI's answers have around the text."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence

from container.gateway.request_context import Usage
from container.gateway.schemas.openai import ChatRequest, Json, OpenAIRequest


class OpenAIAnswer:
    """One answer, whole or in chunks that share its id."""

    def __init__(self, request: OpenAIRequest, base_model: str, usage: Usage, *, prefix: str) -> None:
        """`prefix` is that of the answer's id."""
        self._request = request
        self._usage = usage
        self._head = {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "object": request.object,
            "created": int(time.time()),
            "model": request.model or base_model,
        }

    def answer(self, choice: Json) -> Json:
        """A whole answer."""
        return self._head | {"choices": [choice], "usage": self._counts()}

    def chunk(self, choice: Json) -> Json:
        """One event of a stream."""
        head = dict(self._head)
        if isinstance(self._request, ChatRequest):
            head["object"] = "chat.completion.chunk"
        return head | {"choices": [choice]}

    def usage_chunk(self) -> Iterator[Json]:
        """The event with the token counts, if the caller asked for it."""
        if self._request.include_usage:
            yield self.chunk({}) | {"choices": [], "usage": self._counts()}

    def _counts(self) -> Json:
        return {
            "prompt_tokens": self._usage.prompt_tokens,
            "completion_tokens": self._usage.generated_tokens,
            "total_tokens": self._usage.prompt_tokens + self._usage.generated_tokens,
        }


class StopText:
    """Takes the stop sequence off the end of the text: LoRAX leaves it there, OpenAI does not."""

    def __init__(self, stops: Sequence[str]) -> None:
        """`stops` are the request's stop sequences."""
        self._stops = stops
        # So much of a stream's text may still turn out to be a stop sequence.
        self._held_back = max((len(stop) for stop in stops), default=0)
        self._text = ""

    def cut(self, text: str, *, stopped: bool) -> str:
        """A text without the stop sequence that ended it, if one did."""
        if not stopped:
            return text
        found = [position for stop in self._stops if (position := text.find(stop)) >= 0]
        return text[: min(found)] if found else text

    def feed(self, text: str, *, last: bool, stopped: bool) -> str:
        """Take the next piece of a stream; give what is sure to stay, and at the end the rest."""
        self._text += text
        if last:
            return self.cut(self._text, stopped=stopped)
        sure = max(0, len(self._text) - self._held_back)
        ready, self._text = self._text[:sure], self._text[sure:]
        return ready
