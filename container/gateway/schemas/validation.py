"""Validation by pydantic models, with errors that never repeat the input."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from container.gateway.errors import GatewayError

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], data: Any) -> Model:
    """Validate `data`; raise `GatewayError` 422 that names the first invalid field, without its value."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = first_error(error)
        field = ".".join(_part(part) for part in first["loc"]) or "the body"
        message = "is not known here" if first["type"] == "extra_forbidden" else first["msg"]
        raise GatewayError.validation(f"`{field}`: {message}") from None


def first_error(error: ValidationError) -> ErrorDetails:
    """Return the first of a model's errors, without the input, which may be a prompt or a secret."""
    return error.errors(include_input=False, include_url=False, include_context=False)[0]


def _part(part: int | str) -> str:
    # The name of an unknown field comes from the client, too, and may have any length.
    text = str(part)
    return text if len(text) <= 50 else text[:50] + "…"
