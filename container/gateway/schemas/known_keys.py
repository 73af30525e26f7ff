"""Refusal of an unknown key in a request's object, with what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from container.gateway.errors import GatewayError
from container.gateway.schemas.adapter_names import (
    is_base_model,
    name_it_in,
    selects_adapter,
    shortened,
)
from container.gateway.schemas.validation import RequestObject, unknown_key

#: Maximum of unknown keys that are searched for an adapter, which comes first in the message: one is enough
#: to refuse, and 9,000 long ones take 0.4 s.
MAX_SEARCHED = 100
Remedy = Callable[[str], str | None]


def is_plain(value: Any) -> bool:
    """Return whether a value has no other values in it, so no adapter either."""
    return not isinstance(value, dict | list)


def refuse_unknown(
    data: dict[str, Any],
    kind: type[RequestObject],
    *,
    place: str = "",
    adapter_field: str,
    base_model: str,
    remedy: Remedy = lambda _: None,
) -> None:
    """Raise `GatewayError` 422 if the object at `place` has a key that `kind` has not, and that is not null.

    `adapter_field` is where the schema names the adapter, which is not needed for `base_model`. `remedy`
    returns what to write instead of a key, or None if it does not know better than the closest name.
    """
    known = kind.model_fields
    unknown = [name for name, value in data.items() if name not in known and value is not None]
    if not unknown:
        return
    # First the adapter: without another key, the next answer would be a refusal again, or the base model's.
    chooses = [name for name in unknown[:MAX_SEARCHED] if _chooses(name, data[name])]
    name = (chooses or unknown)[0]
    if chooses and is_base_model(data[name], base_model):
        problem = "is the base model: leave it out"
    elif chooses:
        problem = name_it_in(adapter_field)
    else:
        problem = remedy(name) or unknown_key(name, known)
    key = shortened(name)
    raise GatewayError.validation(f"`{place}.{key}`: {problem}" if place else f"`{key}`: {problem}")


def _chooses(name: str, value: Any) -> bool:
    """Return whether a key looks like the choice of an adapter, or has one in its value."""
    if isinstance(value, dict):
        return selects_adapter(name) or any(_chooses(*pair) for pair in value.items())
    return selects_adapter(name) or (isinstance(value, list) and any(_chooses("", each) for each in value))
