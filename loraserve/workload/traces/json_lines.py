"""Lines of JSON objects, and their fields."""

from __future__ import annotations

import json
from typing import Any

from loraserve.workload.traces.trace_format import TraceLine

#: Above every number of tokens, and every time in milliseconds.
_BOUND = 1e15


def json_object(line: TraceLine) -> dict[str, Any]:
    """Return the object on a line.

    Raises:
        WorkloadError: the line is no JSON object.
    """
    try:
        value = json.loads(line.text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise line.damaged("no JSON object")
    return value


def keys_of(first: str) -> frozenset[str]:
    """Return the keys of the object on the first line of a file; none if it is something else."""
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(value) if isinstance(value, dict) else frozenset()


def number_of(row: dict[str, Any], key: str, line: TraceLine) -> float:
    """Return a field that is a number of at least 0.

    Raises:
        WorkloadError: it is missing or something else.
    """
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _BOUND:
        raise line.damaged(f"`{key}` is no number of at least 0")
    return value


def tokens_of(row: dict[str, Any], key: str, line: TraceLine) -> int:
    """Return a field that is a number of tokens.

    Raises:
        WorkloadError: it is missing or something else.
    """
    value = number_of(row, key, line)
    if value != int(value) or value >= 2**31:
        raise line.damaged(f"`{key}` is no number of tokens")
    return int(value)
