"""Which instance gets the next request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from laptop_cloud.sagemaker.fleet import Fleet
from laptop_cloud.sagemaker.member import Member


def chosen(fleets: Iterable[Fleet], variant: str | None) -> Member | None:
    """The instance whose turn it is, of `variant` if one is named; None if none can take a request.

    A smooth weighted round robin: each instance gains its part of the traffic as credit, and the one
    with the most pays for the request. So a canary of 10 % gets every tenth request, not about that many.
    """
    parts = [part for fleet in fleets for part in _parts(fleet, variant) if part[1] > 0]
    if not parts:
        return None
    for member, weight in parts:
        member.credit += weight
    first = max((member for member, _ in parts), key=lambda member: member.credit)
    first.credit -= sum(weight for _, weight in parts)
    return first


def _parts(fleet: Fleet, wanted: str | None) -> Iterator[tuple[Member, float]]:
    """Each instance that can take a request, and its part; a variant that is named needs no weight."""
    for variant in fleet.variants:
        able = fleet.able(variant)
        weight = fleet.share * (fleet.weights[variant] if wanted is None else float(variant == wanted))
        for member in able:
            yield member, weight / len(able)
