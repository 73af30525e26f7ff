"""Strict models of configuration files. An error is one line with file, key and remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, core_schema
from yaml.nodes import ScalarNode

from adapters.closest import closest
from stacks.yaml_document import Document, UnusableYaml, as_written, is_text, quoted

Model = TypeVar("Model", bound=BaseModel)
#: Most digits of a number in a remedy.
_DIGITS = 20


class ConfigError(Exception):
    """A configuration file that cannot be used; the message is one line for its author."""


class Strict(BaseModel):
    """Base of all configuration: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


@dataclass(frozen=True, eq=False)
class KeyOf:
    """Annotation of a text that must be a key of a registry, whatever that has when the text is read."""

    registry: Mapping[str, object]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the type."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: str) -> str:
        if value not in self.registry:
            valid = " or ".join(map(repr, self.registry))
            raise ValueError(f"Input should be {valid}{closest(value, self.registry)}")
        return value


def read(path: Path, model: type[Model]) -> Model:
    """Read the YAML file at `path` as `model`; raises `ConfigError` on the first thing that is wrong."""
    try:
        document = Document(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnusableYaml as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(document.data, dict):
        found = {type(None): "it is empty", list: "it is a list"}.get(type(document.data), "it has no keys")
        raise ConfigError(f"{path}: {found}; write keys such as {', '.join(list(model.model_fields)[:3])}")
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise ConfigError(f"{path}: {sentence(error, model, document)}") from error


def sentence(error: ValidationError, model: type[BaseModel], document: Document | None = None) -> str:
    """Make one line of the first error of `model`'s validation: key, value, remedy.

    The value is shown as it is written in `document`, if the data is from one.
    """
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        valid = _keys_at(model, first["loc"][:-1])
        return f"{key}: unknown key{closest(str(first['loc'][-1]), valid)}; valid: {', '.join(valid)}"
    if first["type"] == "missing":
        return f"{key}: missing"
    message = first["msg"].removeprefix("Value error, ")
    if not key or isinstance(first["input"], dict):
        # A rule between keys has the whole section as its input: naming the section is enough.
        return f"{key}: {message}" if key else message
    if document is None:
        return f"{key}: {first['input']!r}: {message}"
    return f"{key}: {_with_value(first, message, document)}"


def _with_value(error: ErrorDetails, message: str, document: Document) -> str:
    """Return the value of an error as the file has it, the message, and what YAML has to do with it."""
    scalar = document.scalar(error["loc"])
    if scalar is not None and error["input"] is None:
        return f"no value: {message}; write one"
    if scalar is None or isinstance(error["input"], str):
        return f"{error['input']!r}: {message}{_remedy_of_text(error, scalar)}"
    in_quotes = f"; write it in quotes: {quoted(scalar)}" if error["type"] == "string_type" else ""
    return f"{as_written(scalar)}: {message}{in_quotes}"


def _remedy_of_text(error: ErrorDetails, scalar: ScalarNode | None) -> str:
    """Return the remedy for a text in the place of a number or another type; empty if there is none."""
    if scalar is None or not error["type"].endswith("_type"):
        return ""
    if scalar.style is not None:
        return "" if is_text(scalar.value) else "; write it without quotes"
    number = _decimal(scalar.value)
    # 1e3 is a text to YAML 1.1, which wants 1.0e+3.
    return "" if number is None else f"; write {number}"


def _decimal(text: str) -> str | None:
    """Return a number without its exponent; None for a text that is none."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return f"{number:f}" if number.is_finite() and abs(number.adjusted()) < _DIGITS else None


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            current = current.model_fields[str(part)].annotation
        else:
            # Of a list its items, of a mapping its values.
            current = get_args(current)[-1]
        if type(None) in get_args(current):
            current = next(arg for arg in get_args(current) if arg is not type(None))
    return list(current.model_fields)
