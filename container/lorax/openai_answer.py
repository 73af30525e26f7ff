"""The envelope of OpenAI's answers, and the removal of stop sequences."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence

from container.gateway.request_context import Usage
from container.gateway.schemas.openai import ChatRequest, Json, OpenAIRequest


class OpenAIAnswer:
    """One answer, whole or as chunks with the same id."""

    def __init__(self, request: OpenAIRequest, base_model: str, usage: Usage, *, prefix: str) -> None:
        """`prefix` begins the answer's id."""
        self._request = request
        self._usage = usage
        self._head = {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "object": request.object,
            "created": int(time.time()),
            "model": request.model or base_model,
        }

    def answer(self, choice: Json) -> Json:
        """Return a whole answer."""
        return self._head | {"choices": [choice], "usage": self._counts()}

    def chunk(self, choice: Json) -> Json:
        """Return one event of a stream."""
        head = dict(self._head)
        if isinstance(self._request, ChatRequest):
            head["object"] = "chat.completion.chunk"
        return head | {"choices": [choice]}

    def usage_chunk(self) -> Iterator[Json]:
        """Yield the event with the token counts, if the client requested it."""
        if self._request.include_usage:
            yield self.chunk({}) | {"choices": [], "usage": self._counts()}

    def _counts(self) -> Json:
        return {
            "prompt_tokens": self._usage.prompt_tokens,
            "completion_tokens": self._usage.generated_tokens,
            "total_tokens": self._usage.prompt_tokens + self._usage.generated_tokens,
        }


class StopText:
    """Removes the stop sequence from the end of the text: LoRAX's texts have it, OpenAI's do not."""

    def __init__(self, stops: Sequence[str]) -> None:
        """`stops` are the request's stop sequences."""
        self._stops = stops
        # The end of a stream's text, of this length, may be the start of a stop sequence.
        self._held_back = max((len(stop) for stop in stops), default=0)
        self._text = ""

    def cut(self, text: str, *, stopped: bool) -> str:
        """Return the text without its stop sequence; `stopped` says that one ended it."""
        if not stopped:
            return text
        found = [position for stop in self._stops if (position := text.find(stop)) >= 0]
        return text[: min(found)] if found else text

    def feed(self, text: str, *, last: bool, stopped: bool) -> str:
        """Add the next piece of a stream and return the text to send; the `last` call returns the rest."""
        self._text += text
        if last:
            return self.cut(self._text, stopped=stopped)
        sure = max(0, len(self._text) - self._held_back)
        ready, self._text = self._text[:sure], self._text[sure:]
        return ready
