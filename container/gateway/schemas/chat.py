"""Messages and tools of OpenAI's chat completions; messages of the assistant as clients send them back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from container.gateway.schemas.lorax import Text
from container.gateway.schemas.validation import RequestObject

#: Maximum of messages, parts of a message and tools: a body of 2 MiB could have a million, which would block
#: the event loop, and /ping with it, for seconds.
MAX_ITEMS = 4096
#: Fields that the openai package adds to an answer that it has parsed; their content is in the text as well.
_PARSED = frozenset({"parsed", "parsed_arguments"})
#: Fields that may be empty.
_KEPT = frozenset({"content", "text"})


class _Echoed(RequestObject):
    """An object of an answer, as a client's library sends it back in the next turn.

    Libraries write every field of their class, and some of other services: null, empty, or an object of such
    fields. These count as absent; `content` and `text` are kept, which may be empty.
    """

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {
            name: value
            for name, value in data.items()
            if name in _KEPT or (name not in _PARSED and not _is_empty(value))
        }


def _is_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_empty, value.values()))
    return value is None or (isinstance(value, str | list) and not value)


class TextPart(_Echoed):
    """A text part of a message's content; other types are not supported."""

    type: Literal["text"]
    text: str


class FunctionCall(_Echoed):
    """The function of a tool call; `arguments` are JSON text, which the model may have cut off."""

    name: Text
    arguments: str = ""


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
