"""The words of messages about a configuration file: keys by name, and what to write instead of a value.

pydantic's own messages name types and classes of Python (`Input should be a valid dictionary or instance of
Engine`). The author of a YAML file needs the value to write.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from adapters.closest import closest

_NUMBER_ERRORS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number")
_WHOLE = {"int_type", "int_from_float", "int_parsing_size"}
#: A full stop in the middle of a sentence, such as that of `. _ - /`, has no capital behind it.
_SENTENCE_END = re.compile(r"\.(?:$| (?=[A-Z]))")
#: Keys that a message names as examples.
_EXAMPLES = 3


def key_text(location: Sequence[int | str], data: Any) -> str:
    """Return the path of a key, e.g. `adapters['gsm8k'].source`; items have their name or position."""
    text = ""
    for part in location:
        data = _child(data, part)
        if isinstance(part, int):
            name = data.get("name") if isinstance(data, dict) else None
            text += f"[{name!r}]" if isinstance(name, str) else f"[item {part + 1}]"
        elif part != "[key]":
            text += f".{part}" if text else part
    return text


def remedy(error: ErrorDetails, model: type[BaseModel]) -> str:
    """Return what to write instead of the value of an error of `model`'s validation."""
    kind, context = error["type"], error.get("ctx", {})
    annotation, limits = _at(model, error["loc"])
    section = _section(annotation)
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    if section is not None and kind in {"model_type", "model_attributes_type"}:
        return f"write keys below it, such as {', '.join(list(section.model_fields)[:_EXAMPLES])}"
    if kind in _WHOLE or kind == "float_type" or kind in _NUMBER_ERRORS:
        return f"write a {'whole ' if annotation is int else ''}number{_range(limits)}"
    if kind == "literal_error":
        choices = [str(choice) for choice in get_args(annotation)]
        return f"write {any_of(choices)}{closest(str(error['input']), choices)}"
    if kind in {"too_long", "string_too_long"}:
        counted = "characters" if kind == "string_too_long" else "items"
        return f"write at most {context['max_length']} {counted}"
    return {
        "string_type": "write a text",
        "bool_type": "write true or false",
        "list_type": "write a list, as in [a, b]",
        "dict_type": "write keys with values, as in {key: value}",
    }.get(kind, error["msg"])


def missing(location: Sequence[int | str], model: type[BaseModel]) -> str:
    """Return what to write for a required key that is missing."""
    parent, _ = _at(model, location[:-1])
    field = parent.model_fields[str(location[-1])]
    section = _section(field.annotation)
    if section is not None:
        return f"write it, with keys such as {', '.join(list(section.model_fields)[:_EXAMPLES])}"
    what = _SENTENCE_END.split(" ".join((field.description or "").split()))[0]
    return f"write it: {what[:1].lower()}{what[1:]}"


def unknown(location: Sequence[int | str], model: type[BaseModel]) -> str:
    """Return the keys that are valid at the place of an unknown one, the likeliest first."""
    parent, _ = _at(model, location[:-1])
    name, valid = str(location[-1]), list(parent.model_fields)
    elsewhere = [path for path in _paths(model) if path.rpartition(".")[2] == name]
    meant = f", did you mean {' or '.join(elsewhere)}" if elsewhere else closest(name, valid)
    return f"unknown key{meant}; valid: {', '.join(valid)}"


def is_section(location: Sequence[int | str], model: type[BaseModel]) -> bool:
    """Check that the value at a location is a section, with keys of this project."""
    return _section(_at(model, location)[0]) is not None


def stated(section: BaseModel, key: str) -> str:
    """Return `key`, and its value in the section as its author or its default has it."""
    by_default = "" if key in section.model_fields_set else " by default"
    return f"{key}, which is {getattr(section, key)}{by_default}"


def _child(data: Any, part: int | str) -> Any:
    try:
        return data[part]
    except (KeyError, IndexError, TypeError):
        return None


def _at(model: type[BaseModel], location: Sequence[int | str]) -> tuple[Any, list[Any]]:
    """Return the type at a location, without None and annotations, and the limits of its value."""
    current: Any = model
    limits: list[Any] = []
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(part), FieldInfo())
            current, limits = _plain(field.annotation, list(field.metadata))
        elif arguments := get_args(current):
            # Of a list its items, of a mapping its keys or values.
            current, limits = _plain(arguments[0 if location[-1] == "[key]" else -1], [])
    return current, limits


def _plain(annotation: Any, limits: list[Any]) -> tuple[Any, list[Any]]:
    if get_origin(annotation) in {types.UnionType, Union}:
        return _plain(next(arg for arg in get_args(annotation) if arg is not type(None)), limits)
    if get_origin(annotation) is Annotated:
        inner, *further = get_args(annotation)
        found = [limit for item in further for limit in getattr(item, "metadata", [item])]
        return _plain(inner, [*limits, *found])
    return annotation, limits


def _section(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _paths(model: type[BaseModel], start: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{start}{name}"
        section = _section(_plain(field.annotation, [])[0])
        if section is not None:
            yield from _paths(section, f"{start}{name}.")


def _range(limits: Sequence[Any]) -> str:
    low = next((limit for limit in limits if isinstance(limit, Ge | Gt)), None)
    high = next((limit for limit in limits if isinstance(limit, Le | Lt)), None)
    if isinstance(low, Ge) and isinstance(high, Le):
        return f" from {low.ge} to {high.le}"
    least = f", {low.ge} or more" if isinstance(low, Ge) else f" above {low.gt}" if low is not None else ""
    most = (
        f", at most {high.le}" if isinstance(high, Le) else f", below {high.lt}" if high is not None else ""
    )
    return f"{least}{' and' if least and most else ''}{most.replace(',', '', 1) if least else most}"


def any_of(choices: Sequence[str]) -> str:
    """Return `a, b or c`."""
    return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
