"""The messages of the container's errors, found in its source and in its tables.

Each is one for the client of a request.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from container.gateway import errors
from container.gateway.schemas import openai, other_servers, validation
from container.gateway.settings import Settings
from container.lorax import refusals as lorax
from container.vllm import refusals as vllm

ROOT = Path(__file__).parents[3]
#: The calls that make an error answer, and the position of their message.
MAKERS = {"GatewayError": 2, "cls": 2, "validation": 0, "adapter_error": 1, "DownloadError": 1}
#: The files where a message is put together from texts that `tables` yields, or from another error's.
BUILT = {
    "container/gateway/adapters/download.py",
    "container/gateway/errors.py",
    "container/gateway/schemas/known_keys.py",
    "container/gateway/schemas/validation.py",
    "container/lorax/backend.py",
    "container/lorax/refusals.py",
    "container/vllm/problems.py",
    "container/vllm/refusals.py",
}
#: What a message may not name: an engine's flags, the container's variables, pydantic's types and Python's words.
FOREIGN = (
    r"--[a-z]",
    *(rf"\b{field.alias}\b" for field in Settings.model_fields.values()),
    r"(?<![.\w])adapter_id",
    r"max_model_len|constrained|dict\b|NoneType|valid (string|list|integer)",
)
#: How a remedy is written: after a colon or a semicolon, or as the rule that the value must follow.
REMEDY = re.compile(
    r"[:;] \S|\b(must|takes|[Ss]end|give one|is missing|leave it out|did you mean|ask for less)\b"
)


@dataclass(frozen=True)
class Message:
    """A message in the source; names in braces stand for values."""

    place: str
    text: str


def literal(node: ast.expr) -> str | None:
    """Return a text of the source, None if it is made elsewhere."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
        return "".join(str(part) for part in parts)
    return None


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def tables() -> Iterator[Message]:
    """The texts that code puts into messages."""
    for table in (other_servers.OTHER_KEYS, openai.OTHER_FIELDS):
        for name, key in table.items():
            yield Message(name, f"`{name}`: {key.remedy}")
    for kind, text in validation._MESSAGES.items():
        yield Message(kind, text)
    for kind, expected in validation._TYPES.items():
        yield Message(kind, f"must be {expected}")
    for name in ("temprature", "what"):
        yield Message("unknown key", validation.unknown_key(name, ["temperature"]))
    for part, (_, text) in lorax._ADAPTER_MESSAGES.items():
        yield Message(part, text)
    yield Message("vLLM's types", vllm._OF_A_TYPE)
    yield Message("vLLM", vllm._UNNAMED)


def messages() -> Iterator[Message]:
    """The messages in the source, each an argument of a call; an empty text for one that is put together."""
    for file in sorted((ROOT / "container").rglob("*.py")):
        tree = ast.parse(file.read_text())
        constants = {
            target.id: literal(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or name_of(node.func) not in MAKERS:
                continue
            position = MAKERS[name_of(node.func)]
            if len(node.args) > position:
                argument = node.args[position]
                text = literal(argument) or constants.get(getattr(argument, "id", ""))
                yield Message(f"{file.relative_to(ROOT)}:{node.lineno}", text or "")


FOUND = list(messages())
MESSAGES = [*filter(lambda message: message.text, FOUND), *tables()]
each = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.place)


def test_the_messages_are_found() -> None:
    assert len(MESSAGES) > 130
    assert {message.place.partition(":")[0] for message in FOUND if not message.text} == BUILT
    texts = " ".join(message.text for message in MESSAGES)
    assert "There is no adapter" in texts
    assert errors.GatewayError.unreachable().message in texts


@each
def test_a_message_names_nothing_that_a_client_cannot_set(message: Message) -> None:
    for pattern in FOREIGN:
        assert not re.search(pattern, message.text), f"{message.place}: {message.text!r} has {pattern}"


@each
def test_a_message_has_a_remedy(message: Message) -> None:
    assert REMEDY.search(message.text), f"{message.place}: {message.text!r}"
    assert not message.text.rstrip().endswith((".", ":", ";"))
