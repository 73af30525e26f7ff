"""Validation of a request by botocore's model of the service.

botocore's client validates types, required members and lower bounds before it sends a request. The service
also validates patterns, enumerations and upper bounds, and so does this module.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from botocore.model import ServiceModel, Shape

from laptop_cloud.sdk_sessions import new_session

#: Java's character classes in the syntax of Python's `re`, for use between brackets.
_CLASSES: Final = {"ASCII": r"\x00-\x7F", "Print": r"\x20-\x7E", "L": r"\w", "N": r"\d", "Z": r"\s"}
_TOKEN: Final = re.compile(r"\\p\{(?P<name>\w+)\}|\\.|[\[\]]")
_SURROGATES: Final = (r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")
_PYTHON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "blob": (str, bytes),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
}


@functools.cache
def service_model(service: str) -> ServiceModel:
    """Return botocore's model of `service`, such as `sagemaker`."""
    return new_session().get_service_model(service)


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of a service model. The patterns are written for Java."""
    bracketed = False

    def translated(token: re.Match[str]) -> str:
        nonlocal bracketed
        if token[0] in "[]":
            bracketed = token[0] == "["
        if token["name"]:
            members = _CLASSES[token["name"]]
            return members if bracketed else f"[{members}]"
        return r"\Z" if token[0] == r"\z" else token[0]

    return re.compile(_TOKEN.sub(translated, pattern.replace(*_SURROGATES)))


def violations(shape: Shape, value: object, path: str = "") -> Iterator[str]:
    """Yield one sentence for each constraint of `shape` that `value` violates, with the parameter's path."""
    expected = _PYTHON_TYPES[shape.type_name]
    if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
        yield f"Value at '{path}' failed to satisfy constraint: Member must be of type {shape.type_name}"
    elif isinstance(value, dict):
        yield from _in_object(shape, value, path)
    elif isinstance(value, list):
        yield from _bounds(shape, len(value), path, "length")
        for position, item in enumerate(value):
            yield from violations(shape.member, item, f"{path}[{position}]")
    elif isinstance(value, str):
        yield from _in_string(shape, value, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _bounds(shape, value, path, "value")


def _in_object(shape: Shape, value: Mapping[str, object], path: str) -> Iterator[str]:
    dot = f"{path}." if path else ""
    if shape.type_name == "map":
        yield from _bounds(shape, len(value), path, "length")
        for key, item in value.items():
            yield from violations(shape.key, key, f"{dot}{key}")
            yield from violations(shape.value, item, f"{dot}{key}")
        return
    for name in shape.required_members:
        if name not in value:
            yield f"Value null at '{dot}{name}' failed to satisfy constraint: Member must not be null"
    for name, item in value.items():
        if name in shape.members:
            yield from violations(shape.members[name], item, f"{dot}{name}")
        else:
            yield f"Unknown parameter '{dot}{name}': must be one of {', '.join(shape.members)}"


def _in_string(shape: Shape, value: str, path: str) -> Iterator[str]:
    shown = "" if shape.metadata.get("sensitive") else f" '{value[:80]}'"
    failed = f"Value{shown} at '{path}' failed to satisfy constraint: Member must"
    enum: Sequence[str] = getattr(shape, "enum", ())
    if enum and value not in enum:
        yield f"{failed} satisfy enum value set: [{', '.join(enum)}]"
    pattern = shape.metadata.get("pattern")
    if pattern and compiled(pattern).fullmatch(value) is None:
        yield f"{failed} satisfy regular expression pattern: {pattern}"
    yield from _bounds(shape, len(value), path, "length")


def _bounds(shape: Shape, size: float, path: str, what: str) -> Iterator[str]:
    failed = f"Value at '{path}' failed to satisfy constraint: Member must have {what}"
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield f"{failed} greater than or equal to {low}"
    if high is not None and size > high:
        yield f"{failed} less than or equal to {high}"


def coerced(shape: Shape, value: Any) -> Any:
    """Return `value` from a template with its scalars converted to the types of `shape`.

    CloudFormation accepts `"1"` for a number and `"true"` for a boolean (parameters are strings), and a
    number for a string.
    """
    kind = shape.type_name
    if isinstance(value, dict) and kind == "structure":
        members = shape.members
        return {k: coerced(members[k], v) if k in members else v for k, v in value.items()}
    if isinstance(value, dict) and kind == "map":
        return {k: coerced(shape.value, v) for k, v in value.items()}
    if isinstance(value, list) and kind == "list":
        return [coerced(shape.member, item) for item in value]
    return _coerced_scalar(kind, value)


def _coerced_scalar(kind: str, value: Any) -> Any:
    if kind == "string" and isinstance(value, (int, float)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    number = {"integer": int, "long": int, "float": float, "double": float}.get(kind)
    if number is not None and isinstance(value, str):
        with contextlib.suppress(ValueError):
            return number(value)
    return value
