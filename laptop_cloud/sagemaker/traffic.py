"""Choice of the instance for a request: smooth weighted round robin."""

from __future__ import annotations

from collections.abc import Iterable

from laptop_cloud.sagemaker.fleet import Fleet, Member


def next_member(fleets: Iterable[Fleet], variant: str | None) -> Member | None:
    """Return the instance for the next request, of `variant` if one is given; None if none is healthy.

    Each instance gains its share of the traffic as credit, and the one with the most credit pays for the
    request. So a canary of 10 % gets exactly every tenth request.
    """
    shares = [
        (member, fleet.share / len(fleet.healthy))
        for fleet in fleets
        if fleet.share > 0 and variant in (None, fleet.name)
        for member in fleet.healthy
    ]
    if not shares:
        return None
    for member, share in shares:
        member.credit += share
    first = max((member for member, _ in shares), key=lambda member: member.credit)
    first.credit -= sum(share for _, share in shares)
    return first
