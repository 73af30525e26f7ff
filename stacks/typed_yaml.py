"""Strict models of configuration files. An error is one line with file, key and remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from adapters.closest import closest

Model = TypeVar("Model", bound=BaseModel)


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
        data = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys such as {', '.join(list(model.model_fields)[:3])}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{path}: {sentence(error, model)}") from error


def sentence(error: ValidationError, model: type[BaseModel]) -> str:
    """Make one line of the first error of `model`'s validation: key, value, remedy."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        valid = _keys_at(model, first["loc"][:-1])
        return f"{key}: unknown key{closest(str(first['loc'][-1]), valid)}; valid: {', '.join(valid)}"
    if first["type"] == "missing":
        return f"{key}: missing"
    message = first["msg"].removeprefix("Value error, ")
    # A rule between keys has the whole section as its input: naming the section is enough.
    value = "" if isinstance(first["input"], dict) else f"{first['input']!r}: "
    return f"{key}: {value}{message}" if key else message


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
