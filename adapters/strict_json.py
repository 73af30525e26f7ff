"""Strict JSON parsing for untrusted input: UTF-8 only, no duplicate keys."""

from __future__ import annotations

import json
import re
from typing import Any

_SHOWN_CHARACTERS = 80
#: A text, or a sign that begins or ends an object or ends a key, in JSON that is known to be valid.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}:]')


class NotAnObject(Exception):
    """Bytes that are not one JSON object; the message has the reason, and the line where there is one."""


class DuplicateKey(Exception):
    """A key is there twice in one object; json's hooks do not know where."""

    def __init__(self, key: str) -> None:
        """`key` is the first one that is there twice."""
        super().__init__(key)
        self.key = key


def parse_object(data: bytes) -> dict[str, Any]:
    """Parse the JSON object in `data`; raises `NotAnObject`, and nothing else.

    The caller bounds the length of `data`, and with it time and memory: nesting ends at Python's recursion
    limit, and integers at its limit of 4,300 digits.
    """
    try:
        text = data.decode()
        value = json.loads(text, object_pairs_hook=unique)
    except DuplicateKey as error:
        raise NotAnObject(_first_duplicate(text)) from error
    except RecursionError as error:
        raise NotAnObject("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotAnObject(f"it is not UTF-8 in line {line}") from error
    except json.JSONDecodeError as error:
        raise NotAnObject(f"it is not JSON in line {error.lineno}: {error.msg}") from error
    except ValueError as error:
        raise NotAnObject("it is not JSON: a number has too many digits") from error
    if not isinstance(value, dict):
        raise NotAnObject("it is not a JSON object")
    return value


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's members, as json's `object_pairs_hook`; raises `DuplicateKey`.

    Parsers differ in which of two they keep, so two readers would see two values.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise DuplicateKey(_first_twice(pairs))
    return found


def there_twice(key: str, first: int, second: int) -> str:
    """Return the sentence about a key that is in two lines, or twice in one."""
    if first == second:
        return f"line {second}: {shown(key)} is there twice; keep one of them"
    return f"line {second}: {shown(key)} is there twice, first in line {first}; keep one of them"


def shown(value: object) -> str:
    """Return an untrusted value as a message may quote it: short and on one line."""
    if isinstance(value, str):
        return repr(value) if len(value) <= _SHOWN_CHARACTERS else repr(value[:_SHOWN_CHARACTERS]) + "…"
    if isinstance(value, list | dict):
        # Their repr can be long, and nested more deeply than repr can recurse.
        return "a list" if isinstance(value, list) else "an object"
    # As JSON has null, true and NaN.
    text = json.dumps(value) if value is None or isinstance(value, bool | int | float) else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _first_twice(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    raise AssertionError("no key is there twice")


def _first_duplicate(text: str) -> str:
    """Return the sentence about the first key that is there twice in one object.

    The text is valid JSON up to the end of that object.
    """
    objects: list[dict[str, int]] = []
    written = ""
    for token in _TOKEN.finditer(text):
        if token[0] == "{":
            objects.append({})
        elif token[0] == "}":
            objects.pop()
        elif token[0] == ":":
            # Keys are compared as they are read: "a" is "\u0061".
            key, first = json.loads(written), objects[-1]
            if key in first:
                lines = [text.count("\n", 0, start) + 1 for start in (first[key], token.start())]
                return there_twice(key, *lines)
            first[key] = token.start()
        else:
            written = token[0]
    raise AssertionError("no key is there twice")
