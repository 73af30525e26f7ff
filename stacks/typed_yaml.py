"""Strict models of configuration files. An error is one line with file, key and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class ConfigError(Exception):
    """A file of configuration that cannot be used; the message is one line for the person who wrote it."""


class Strict(BaseModel):
    """Base of all configuration: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def read(path: Path, model: type[Model]) -> Model:
    """The YAML file at `path` as `model`; raises `ConfigError` on the first thing that is wrong."""
    try:
        data = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys such as {', '.join(list(model.model_fields)[:3])}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_sentence(error, model)}") from error


def closest(word: str, valid: Sequence[str]) -> str:
    """`, did you mean …` if one of `valid` is like `word`, else nothing."""
    match = difflib.get_close_matches(word, valid, n=1)
    return f", did you mean {match[0]!r}" if match else ""


def _sentence(error: ValidationError, model: type[BaseModel]) -> str:
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
        if isinstance(part, str):
            current = current.model_fields[part].annotation
            while not (isinstance(current, type) and issubclass(current, BaseModel)):
                current = next(arg for arg in current.__args__ if arg is not type(None) and arg is not ...)
    return list(current.model_fields)
