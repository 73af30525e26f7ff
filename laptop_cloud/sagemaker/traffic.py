"""Choice of the instance for a request, by the fleets' shares and the variant's routing strategy."""

from __future__ import annotations

from collections.abc import Iterable

from laptop_cloud.sagemaker.fleet import Fleet, Member
from laptop_cloud.sagemaker.prefix_routing import PrefixRequest, PrefixRouting


def next_member(fleets: Iterable[Fleet], variant: str | None, request: PrefixRequest) -> Member | None:
    """Return the instance for a request, of `variant` if one is given; None if none is healthy.

    Smooth weighted round robin: each instance gains its share of the traffic as credit, and the one with the
    most credit pays for the request. So a canary of 10 % gets exactly every tenth request. With
    LEAST_OUTSTANDING_REQUESTS the request then goes to the instance of the same fleet with the fewest in
    flight, and with PREFIX_AWARE to the one of its prefix.
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
    if (prefix_routing := PrefixRouting.of(fleet.variant)) is not None:
        return prefix_routing.choose(fleet.healthy, request)
    routing = fleet.variant.get("RoutingConfig", {}).get("RoutingStrategy")
    if routing != "LEAST_OUTSTANDING_REQUESTS":
        return first
    return min(fleet.healthy, key=lambda member: (member.in_flight, member is not first))
