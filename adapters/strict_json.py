"""Strict JSON parsing for untrusted input: UTF-8 only, no duplicate keys."""

from __future__ import annotations

import json
from typing import Any

_SHOWN_CHARACTERS = 80


class NotAnObject(Exception):
    """Bytes that are not one JSON object; the message has the reason."""


def parse_object(data: bytes) -> dict[str, Any]:
    """Parse the JSON object in `data`; raises `NotAnObject`, and nothing else.

    The caller bounds the length of `data`, and with it time and memory: nesting ends at Python's recursion
    limit, and integers at its limit of 4,300 digits.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique)
    except RecursionError as error:
        raise NotAnObject("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise NotAnObject("it is not UTF-8") from error
    except ValueError as error:
        raise NotAnObject("it is not JSON") from error
    if not isinstance(value, dict):
        raise NotAnObject("it is not a JSON object")
    return value


def shown(value: object) -> str:
    """Return an untrusted value as a message may quote it: short and on one line."""
    if isinstance(value, str):
        return repr(value) if len(value) <= _SHOWN_CHARACTERS else repr(value[:_SHOWN_CHARACTERS]) + "…"
    if isinstance(value, list | dict):
        # Their repr can be long, and nested more deeply than repr can recurse.
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # Parsers differ in which of the two they keep, so two readers would see two values.
        raise NotAnObject("a key is there twice")
    return found
