"""The fields of OpenAI's answers, by the types of the openai package."""

from collections.abc import Iterator
from typing import Any

from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

TYPES: dict[str, Any] = {
    "chat.completion": ChatCompletion,
    "chat.completion.chunk": ChatCompletionChunk,
    "text_completion": Completion,
}


def unknown_fields(answer: dict[str, Any]) -> list[str]:
    """Return the fields of an answer, or of a stream's chunk, that the openai package has not."""
    return list(_extra(TYPES[answer["object"]].construct(**answer)))


def _extra(value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from value.model_extra or ()
        value = [getattr(value, name) for name in type(value).model_fields]
    if isinstance(value, list):
        for item in value:
            yield from _extra(item)
