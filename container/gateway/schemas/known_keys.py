"""Refusal of an unknown key in a request's object, with what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from container.gateway.errors import GatewayError
from container.gateway.schemas.adapter_names import name_it_in, selects_adapter, shortened
from container.gateway.schemas.validation import RequestObject, unknown_key

#: Maximum of keys of one object: each is checked on the event loop.
MAX_KEYS = 100
Remedy = Callable[[str], str | None]


def refuse_unknown(
    data: dict[str, Any],
    kind: type[RequestObject],
    *,
    place: str = "",
    adapter_field: str,
    remedy: Remedy = lambda _: None,
) -> None:
    """Raise `GatewayError` 422 if the object at `place` has a key that `kind` has not, and that is not null.

    `adapter_field` is where the schema names the adapter. `remedy` returns what to write instead of a key, or
    None if it does not know better than the closest name.
    """
    if len(data) > MAX_KEYS:
        where = f"`{place}`:" if place else "the body"
        raise GatewayError.validation(f"{where} must have at most {MAX_KEYS} keys")
    known = kind.model_fields
    unknown = [name for name, value in data.items() if name not in known and value is not None]
    if not unknown:
        return
    # First the adapter: without another key, the next answer would be a refusal again, or the base model's.
    chooses = [name for name in unknown if _chooses(name, data[name])]
    name = (chooses or unknown)[0]
    problem = name_it_in(adapter_field) if chooses else remedy(name) or unknown_key(name, known)
    key = shortened(name)
    raise GatewayError.validation(f"`{place}.{key}`: {problem}" if place else f"`{key}`: {problem}")


def _chooses(name: str, value: Any) -> bool:
    """Return whether a key looks like the choice of an adapter, or has one in its value."""
    if isinstance(value, dict):
        return selects_adapter(name) or any(_chooses(*pair) for pair in value.items())
    return selects_adapter(name) or (isinstance(value, list) and any(_chooses("", each) for each in value))
