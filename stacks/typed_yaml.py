"""Strict models of configuration files. An error is one line with file, key and remedy."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from adapters.closest import closest
from adapters.strict_json import shown
from stacks.wording import any_of, is_section, key_text, missing, remedy, unknown
from stacks.yaml_document import Document, UnusableYaml, as_written, is_text, quoted

Model = TypeVar("Model", bound=BaseModel)
#: Most digits of a number in a remedy.
_DIGITS = 20
_ABSENT = object()


class ConfigError(Exception):
    """A configuration file that cannot be used; the message is one line for its author."""


class Strict(BaseModel):
    """Base of all configuration: immutable, and an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def shaped(pattern: str, remedy: str) -> AfterValidator:
    """Annotate a text that has to match a pattern; `remedy` says what to write."""

    def check(value: str) -> str:
        if re.fullmatch(pattern, value, re.ASCII) is None:
            raise ValueError(remedy)
        return value

    return AfterValidator(check)


@dataclass(frozen=True, eq=False)
class KeyOf:
    """Annotation of a text that must be a key of a registry, whatever that has when the text is read."""

    registry: Mapping[str, object]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the type."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: str) -> str:
        if value not in self.registry:
            raise ValueError(f"write {any_of(list(self.registry))}{closest(value, self.registry)}")
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

    The value is shown as it is written in `document`, and items of a list by name, if the data is from one.
    """
    first = error.errors()[0]
    key = key_text(first["loc"], None if document is None else document.data)
    if first["type"] == "extra_forbidden":
        return f"{key}: {unknown(first['loc'], model)}"
    if first["type"] == "missing":
        return f"{key}: missing; {missing(first['loc'], model)}"
    if first["type"] == "value_error" and is_section(first["loc"], model):
        # A rule between keys has the whole section as its input: naming the section is enough.
        return f"{key}: {remedy(first, model)}" if key else remedy(first, model)
    if document is None:
        return f"{key}: {shown(first['input'])}: {remedy(first, model)}"
    return f"{key}: {_with_value(first, model, document)}"


def _with_value(error: ErrorDetails, model: type[BaseModel], document: Document) -> str:
    """Return the value of an error as the file has it, and what to write instead."""
    scalar, written, kind = document.scalar(error["loc"]), error["input"], error["type"]

    def proposal(value: object, how: str) -> str:
        """Return `how` if the value is valid, and otherwise what is wrong with it then."""
        other = _error_with(value, error, model, document.data)
        return how if other is None else remedy(other, model)

    message = proposal("", remedy(error, model)) if kind == "string_type" else remedy(error, model)
    if scalar is None:
        kind_of = "[]" if written == [] else "a list" if isinstance(written, list) else "keys with values"
        return f"{kind_of}: {message}"
    if written is None:
        which = "item" if isinstance(error["loc"][-1], int) else "key"
        is_needed = _error_with(_ABSENT, error, model, document.data) is not None
        return f"no value: {message}{'' if is_needed else f', or leave the {which} out'}"
    value = shown(written) if isinstance(written, str) else as_written(scalar)
    if kind == "string_type":
        return f"{value}: {proposal(scalar.value, f'write it in quotes: {quoted(scalar)}')}"
    if isinstance(written, str) and kind.endswith("_type"):
        if scalar.style is not None and not is_text(written):
            return f"{value}: {proposal(yaml.safe_load(written), 'write it without quotes')}"
        if (number := _decimal(written)) is not None:
            meant = int(number) if number == number.to_integral_value() else float(number)
            # 1e3 is a text to YAML 1.1, which wants 1.0e+3.
            return f"{value}: {proposal(meant, f'write {number:f}')}"
    return f"{value}: {message}"


def _error_with(value: object, error: ErrorDetails, model: type[BaseModel], data: Any) -> ErrorDetails | None:
    """Return what is wrong with another value in the place of an error's, or with none; None if nothing."""
    changed = copy.deepcopy(data)
    parent = changed
    for part in error["loc"][:-1]:
        parent = parent[part]
    if value is _ABSENT:
        del parent[error["loc"][-1]]
    else:
        parent[error["loc"][-1]] = value
    try:
        model.model_validate(changed)
    except ValidationError as found:
        return next((other for other in found.errors() if other["loc"] == error["loc"]), None)
    return None


def _decimal(text: str) -> Decimal | None:
    """Return a number that has no exponent as people write it; None for a text that is none."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < _DIGITS else None
