"""The messages of the container's errors, found in its source: each is one for the client of a request."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from container.gateway import errors
from container.gateway.settings import Settings

ROOT = Path(__file__).parents[3]
#: The calls that make an error answer, and the position of their message.
MAKERS = {"GatewayError": 2, "cls": 2, "validation": 0, "adapter_error": 1, "DownloadError": 1}
#: What a message may not name: an engine's flags, the container's variables, pydantic's types and Python's words.
FOREIGN = (
    r"--[a-z]",
    *(rf"\b{field.alias}\b" for field in Settings.model_fields.values()),
    r"(?<![.\w])adapter_id",
    r"max_model_len|constrained|dict\b|NoneType|valid (string|list|integer)",
)
#: How a remedy is written: after a colon or a semicolon, or as the rule that the value must follow.
REMEDY = re.compile(r"[:;] \S|\b(must|takes|[Ss]end|give one|is missing|leave it out|ask for less)\b")


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


def messages() -> Iterator[Message]:
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
                if text:
                    yield Message(f"{file.relative_to(ROOT)}:{node.lineno}", text)


MESSAGES = list(messages())
each = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.place)


def test_the_messages_are_found() -> None:
    assert len(MESSAGES) > 45
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
