"""A model's rules applied to what a caller sent."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from container.gateway.errors import GatewayError

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], data: Any) -> Model:
    """`data` as `model`; raises `GatewayError` 422 that names the first wrong field, but not its value."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = ".".join(_part(part) for part in first["loc"]) or "the body"
        message = "is not known here" if first["type"] == "extra_forbidden" else first["msg"]
        raise GatewayError.validation(f"`{field}`: {message}") from None


def _part(part: int | str) -> str:
    # The name of an unknown field is the caller's, too, and of any length.
    text = str(part)
    return text if len(text) <= 50 else text[:50] + "…"
