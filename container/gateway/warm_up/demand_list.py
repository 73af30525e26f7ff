"""The list in which an instance publishes what it is asked for: `demand/<endpoint>/<instance>.json`.

    {"adapters": {"<name>": <weight>, …}}

Every instance of the endpoint can write there, and a starting one reads it: so it is parsed strictly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from adapters.errors import InvalidName
from adapters.names import check_name
from adapters.store.layout import DEMAND_PREFIX
from adapters.strict_json import NotAnObject, parse_object, shown
from container.gateway.warm_up.demand import MAX_NAMES, decayed

#: Above the size of a list of `MAX_NAMES` names of 200 characters, about 110 kB.
MAX_BYTES = 128 * 1024
#: Above what an instance can reach: 10,000 requests per second would be 1.3e7.
MAX_WEIGHT = 1e9
_ADAPTERS = "adapters"


class UnreadableDemand(ValueError):
    """A list that no instance of this version has written; the message has the reason."""


def demand_prefix(endpoint: str) -> str:
    """Return the prefix of an endpoint's lists. An update keeps its name, so the new fleet reads them."""
    return f"{DEMAND_PREFIX}{endpoint}/"


def demand_list(weights: Mapping[str, float]) -> bytes:
    """Return the list of some weights as it is stored."""
    return json.dumps({_ADAPTERS: {name: round(weight, 3) for name, weight in weights.items()}}).encode()


def parse_demand(body: bytes) -> dict[str, float]:
    """Return the weights of a list; raise `UnreadableDemand` if any part of it is not as written here."""
    if len(body) > MAX_BYTES:
        raise UnreadableDemand(f"it has more than {MAX_BYTES} bytes")
    try:
        adapters = parse_object(body).get(_ADAPTERS)
    except NotAnObject as error:
        raise UnreadableDemand(str(error)) from error
    if not isinstance(adapters, dict) or len(adapters) > MAX_NAMES:
        raise UnreadableDemand(f"`{_ADAPTERS}` is not an object of at most {MAX_NAMES} names")
    return {_name(name): _weight(weight) for name, weight in adapters.items()}


def merged(lists: Iterable[tuple[float, Mapping[str, float]]]) -> list[str]:
    """Return at most `MAX_NAMES` names, most wanted first, of lists with their ages in seconds.

    A list stops decaying when it is written: its age does the rest.
    """
    total: dict[str, float] = {}
    for age_seconds, weights in lists:
        for name, weight in weights.items():
            total[name] = total.get(name, 0.0) + decayed(weight, age_seconds)
    return sorted(total, key=lambda name: (-total[name], name))[:MAX_NAMES]


def _name(name: str) -> str:
    try:
        return check_name(name)
    except InvalidName as error:
        raise UnreadableDemand(f"{shown(name)} is not an adapter's name") from error


def _weight(value: object) -> float:
    # NaN is not between the bounds either, and True is no number here.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_WEIGHT:
        raise UnreadableDemand(f"{shown(value)} is not a weight")
    return float(value)
