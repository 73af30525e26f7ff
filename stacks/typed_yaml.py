"""Strict models of configuration files. An error is one line with file, key and remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from adapters.closest import closest
from stacks.wording import any_of, key_text, missing, remedy, unknown

Model = TypeVar("Model", bound=BaseModel)


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
        data = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys such as {', '.join(list(model.model_fields)[:3])}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{path}: {sentence(error, model, data)}") from error


def sentence(error: ValidationError, model: type[BaseModel], data: Any = None) -> str:
    """Make one line of the first error of `model`'s validation: key, value, remedy.

    Items of a list are named if `data`, what was validated, is given.
    """
    first = error.errors()[0]
    key = key_text(first["loc"], data)
    if first["type"] == "extra_forbidden":
        return f"{key}: {unknown(first['loc'], model)}"
    if first["type"] == "missing":
        return f"{key}: missing; {missing(first['loc'], model)}"
    message = remedy(first, model)
    # A rule between keys has the whole section as its input: naming the section is enough.
    value = "" if isinstance(first["input"], dict) else f"{first['input']!r}: "
    return f"{key}: {value}{message}" if key else message
