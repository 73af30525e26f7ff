"""Choice of the instance for a request, by the fleets' shares and the variant's routing strategy."""

from __future__ import annotations

from collections.abc import Iterable

from laptop_cloud.sagemaker.fleet import Fleet, Member


def next_member(fleets: Iterable[Fleet], variant: str | None) -> Member | None:
    """Return the instance for the next request, of `variant` if one is given; None if none is healthy.

    Smooth weighted round robin: each instance gains its share of the traffic as credit, and the one with the
    most credit pays for the request. So a canary of 10 % gets exactly every tenth request. With
    LEAST_OUTSTANDING_REQUESTS the request then goes to the instance of the same fleet with the fewest in
    flight.
    """
    shares = [
        (fleet, member, fleet.share / len(fleet.healthy))
        for fleet in fleets
        if fleet.share > 0 and variant in (None, fleet.name)
        for member in fleet.healthy
    ]
    if not shares:
        return None
    for _, member, share in shares:
        member.credit += share
    fleet, first, _ = max(shares, key=lambda each: each[1].credit)
    first.credit -= sum(share for _, _, share in shares)
    routing = fleet.variant.get("RoutingConfig", {}).get("RoutingStrategy")
    if routing != "LEAST_OUTSTANDING_REQUESTS":
        return first
    return min(fleet.healthy, key=lambda member: (member.in_flight, member is not first))
