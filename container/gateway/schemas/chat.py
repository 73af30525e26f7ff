"""Messages and tools of OpenAI's chat completions; messages of the assistant as clients send them back."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from container.gateway.schemas.lorax import Text
from container.gateway.schemas.validation import RequestObject

#: Maximum of messages, parts of a message and tools: a body of 2 MiB could have a million, which would block
#: the event loop, and /ping with it, for seconds.
MAX_ITEMS = 4096
#: Fields that the openai package adds to an answer that it has parsed; their content is in the text as well.
_PARSED = frozenset({"parsed", "parsed_arguments"})
#: Maximum of levels in the arguments of a call: Python's JSON, which vLLM reads them with, fails near 1000.
_MAX_LEVELS = 64


class _Echoed(RequestObject):
    """An object of an answer, as a client's library sends it back in the next turn.

    Libraries write every field of their class, and some of other services: null, empty, or an object of such
    fields. These count as absent; `content`, which may be empty, and the mandatory fields are kept.
    """

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {
            name: value
            for name, value in data.items()
            if cls._is_kept(name) or (name not in _PARSED and not _is_empty(value))
        }

    @classmethod
    def _is_kept(cls, name: str) -> bool:
        field = cls.model_fields.get(name)
        return name == "content" or (field is not None and field.is_required())


def _is_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_empty, value.values()))
    return value is None or (isinstance(value, str | list) and not value)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_LEVELS):
        objects = [each for each in level if isinstance(each, dict | list)]
        level = [item for each in objects for item in (each.values() if isinstance(each, dict) else each)]
    return bool(level)


class TextPart(_Echoed):
    """A text part of a message's content; other types are not supported."""

    type: Literal["text"]
    text: str


class FunctionCall(_Echoed):
    """The function of a tool call; `arguments` are JSON text, which the model may have cut off."""

    name: Text
    arguments: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """The arguments as an object; `arguments` alone for text that an engine could not write again.

        A model can write such text: cut off, not an object, with `NaN`, a number out of range, half of a
        surrogate pair, or hundreds of levels.
        """
        try:
            values = json.loads(self.arguments or "{}")
            if isinstance(values, dict) and not _is_deep(values):
                json.dumps(values, ensure_ascii=False, allow_nan=False).encode()
                return values
        except (ValueError, RecursionError):
            pass
        return {"arguments": self.arguments}


class ToolCall(_Echoed):
    """A tool call of an assistant message; `index` is of the stream that a client put it together from."""

    id: Text
    type: Literal["function"] = "function"
    function: FunctionCall
    index: int | None = Field(None, exclude=True)


class Message(_Echoed):
    """One message of a conversation."""

    role: Text
    content: str | Annotated[list[TextPart], Field(fail_fast=True, max_length=MAX_ITEMS)] | None = None
    name: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True, max_length=MAX_ITEMS)] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The content as one string."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class Function(RequestObject):
    """The function of a tool; `parameters` are a JSON schema."""

    name: Text
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(RequestObject):
    """A tool that the model may call."""

    type: Literal["function"] = "function"
    function: Function


class FunctionName(RequestObject):
    """The function of a `tool_choice`."""

    name: Text


class NamedTool(RequestObject):
    """The `tool_choice` of one function."""

    type: Literal["function"] = "function"
    function: FunctionName
