"""Texts and token counts in the answers of the gateway's schemas, docs/requests.md: LoRAX's and OpenAI's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

#: The end mark of a stream in OpenAI's schemas.
DONE = b"[DONE]"


@dataclass(slots=True)
class GeneratedPart:
    """The text of one event, or of a whole answer."""

    text: str | None = None
    """None for an event without a token."""
    whole_text: str | None = None
    """The answer's whole text, where it has one."""
    input_tokens: int | None = None
    """Token counts of the engine, where the answer has them."""
    output_tokens: int | None = None
    last: bool = False
    """True for the stream's last event."""
    error: str | None = None
    """The container's error, in a stream that had begun."""


def read_event(data: bytes) -> GeneratedPart:
    """Read the data of one server-sent event; an event of another schema has no text."""
    if data == DONE:
        return GeneratedPart(last=True)
    try:
        event = json.loads(data)
    except ValueError:
        return GeneratedPart()
    if not isinstance(event, dict):
        return GeneratedPart()
    if event.get("error") is not None:
        return GeneratedPart(error=error_text(event))
    if "token" in event:
        token, whole = event["token"], event.get("generated_text")
        text = "" if token.get("special") else token.get("text", "")
        return _counted(GeneratedPart(text, whole, last=whole is not None), event.get("details"))
    return _counted(GeneratedPart(_choice_text(event)), event.get("usage"))


def read_whole(body: bytes) -> GeneratedPart:
    """Read a whole answer; the text of an answer of another schema is its body."""
    try:
        answer = json.loads(body)
    except ValueError:
        return GeneratedPart(body.decode(errors="replace"))
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, dict) and "generated_text" in answer:
        return _counted(GeneratedPart(answer["generated_text"]), answer.get("details"))
    if isinstance(answer, dict) and (text := _choice_text(answer)) is not None:
        return _counted(GeneratedPart(text), answer.get("usage"))
    return GeneratedPart(body.decode(errors="replace"))


def error_text(answer: dict[str, Any]) -> str:
    """Return an error's text: the gateway's `error` and `error_type`, or OpenAI's object."""
    error = answer["error"]
    if isinstance(error, dict):
        error = error.get("message", error)
    kind = answer.get("error_type")
    return f"{kind}: {error}" if kind else str(error)


def _choice_text(answer: dict[str, Any]) -> str | None:
    """Return the text of the first choice: a completion's, a chat's message, or a chunk's delta."""
    choices = answer.get("choices")
    if not choices:
        return None
    choice = choices[0]
    if "text" in choice:
        return str(choice["text"])
    message = choice.get("message", choice.get("delta", {}))
    content = message.get("content")
    return None if content is None else str(content)


def _counted(part: GeneratedPart, counts: dict[str, Any] | None) -> GeneratedPart:
    """Add LoRAX's `details` or OpenAI's `usage`."""
    if counts:
        part.input_tokens = counts.get("prompt_tokens")
        part.output_tokens = counts.get("generated_tokens", counts.get("completion_tokens"))
    return part
