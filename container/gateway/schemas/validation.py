"""Validation by pydantic models: a null is absent, and an error names the field that the client wrote.

Errors never repeat the client's values, which may be a prompt or a secret.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from adapters.closest import closest
from container.gateway.errors import GatewayError
from container.gateway.schemas.adapter_names import MAX_NAME, shortened

Model = TypeVar("Model", bound=BaseModel)
#: The keys and indices that lead to a value of the body.
Path = tuple[int | str, ...]

#: Smallest similarity of a key to a known one that is a typing error, such as a letter less or more:
#: `min_new_tokens` and `max_new_tokens` have 0.86.
TYPING_ERROR = 0.88

#: pydantic's errors for a value of another JSON type, with the type that a field takes.
_TYPES = MappingProxyType(
    {
        "string_type": "a string",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "list_type": "a list",
        "dict_type": "an object",
        "model_type": "an object",
    }
)
#: The messages of pydantic's other errors; a name in braces is of the error's context.
_MESSAGES = MappingProxyType(
    {
        "missing": "is missing",
        "literal_error": "must be {expected}",
        "string_too_short": "must not be empty",
        "too_short": "must have at least {min_length} items",
        "too_long": "takes at most {max_length} items",
        # The only keys of data with a form: those of `logit_bias`.
        "string_pattern_mismatch": "must be the id of a token, in digits",
        "greater_than": "must be > {gt}",
        "greater_than_equal": "must be >= {ge}",
        "less_than": "must be < {lt}",
        "less_than_equal": "must be <= {le}",
    }
)


class RequestObject(BaseModel):
    """A JSON object of a request.

    A key with null is a field that is not set: clients that write every field of a class send it. Objects
    that are data, such as a JSON schema, are fields of type `dict`, in which a null stays.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return set_fields(data)


def set_fields(data: Any) -> Any:
    """Return an object's fields without those that are null; another value is returned as it is."""
    if not isinstance(data, dict):
        return data
    return {name: value for name, value in data.items() if value is not None}


def validated(model: type[Model], data: Any) -> Model:
    """Validate `data`; raise `GatewayError` 422 that names the first invalid field, without its value."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise GatewayError.validation(_sentence(error, model, data)) from None


def first_error(error: ValidationError) -> ErrorDetails:
    """Return the first of a model's errors, without the input, which may be a prompt or a secret."""
    return error.errors(include_input=False, include_url=False, include_context=False)[0]


@dataclass(frozen=True)
class _Problem:
    """An error of pydantic at a field of the body."""

    path: Path
    kind: str
    message: str
    expected: str | None
    """The type that the field takes, if the value is of another one."""

    def is_below(self, path: Path) -> bool:
        return self.path[: len(path)] == path


def _sentence(error: ValidationError, model: type[BaseModel], data: Any) -> str:
    """Return the sentence about the first field that is invalid.

    A value of a union has an error of each branch. The one that counts is of the branch that takes the
    value's JSON type; without such a branch, the sentence has the types of all.
    """
    first, *others = [_problem(each, data) for each in error.errors(include_url=False)]
    message = first.message
    if first.expected is not None:
        same = [each for each in others if each.is_below(first.path)]
        meant = next((each for each in same if each.path != first.path or each.expected is None), None)
        types = dict.fromkeys(each.expected for each in (first, *same) if each.expected)
        first = meant or first
        message = meant.message if meant else f"must be {' or '.join(types)}"
    if first.kind == "extra_forbidden":
        # For this one alone: there may be thousands.
        message = unknown_key(str(first.path[-1]), _fields_at(model, first.path[:-1]))
    # The name of an unknown field comes from the client, too, and may have any length.
    field = ".".join(shortened(str(part)) for part in first.path)
    return f"`{field}`: {message}" if field else f"the body {message}"


def _problem(error: ErrorDetails, data: Any) -> _Problem:
    kind, context = error["type"], error.get("ctx", {})
    expected = _TYPES.get(kind)
    if kind == "literal_error" and not isinstance(error["input"], str):
        expected = str(context["expected"])
    if expected is not None:
        message = f"must be {expected}"
    else:
        message = _MESSAGES[kind].format(**context) if kind in _MESSAGES else error["msg"]
    return _Problem(_path(error, data), kind, message, expected)


def unknown_key(name: str, known: Iterable[str]) -> str:
    """Return the message for a key that is none of the `known` ones, with the closest, or to leave it out."""
    return "is not known here" + (closest(name[:MAX_NAME], known, cutoff=TYPING_ERROR) or ": leave it out")


def _fields_at(kind: Any, path: Path) -> Iterator[str]:
    """Yield the fields that the object at `path` may have in a type, in any branch of a union."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {field.alias or name: field for name, field in kind.model_fields.items()}
        if not path:
            yield from fields
        elif path[0] in fields:
            yield from _fields_at(fields[str(path[0])].annotation, path[1:])
        return
    inner = path[1:] if get_origin(kind) is list else path
    for branch in get_args(kind):
        yield from _fields_at(branch, inner)


def _path(error: ErrorDetails, data: Any) -> Path:
    """Return the location in the body: pydantic's own also has the names of a union's branches."""
    location = error["loc"]
    missing = location[-1:] if error["type"] == "missing" else ()
    found: list[tuple[int | str, Any]] = []
    for part in location[: len(location) - len(missing)]:
        # Not so for the name of a branch.
        with contextlib.suppress(LookupError, TypeError):
            data = data[part]
            found.append((part, data))
    # A branch may have the name of a key of the value: the location ends at the value with the error.
    ends = [end for end, (_, value) in enumerate(found, start=1) if value is error["input"]]
    parts = [part for part, _ in found[: max(ends, default=len(found))]]
    return (*parts, *missing)
