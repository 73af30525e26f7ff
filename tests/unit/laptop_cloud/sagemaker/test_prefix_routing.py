"""Prefix-aware routing: which instance a key has, how few keys move, and when a request goes elsewhere."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laptop_cloud.api.service import ServiceError
from laptop_cloud.sagemaker.fleet import Fleet, Member
from laptop_cloud.sagemaker.prefix_routing import PrefixRequest, PrefixRouting, check_routing
from laptop_cloud.sagemaker.traffic import next_member

LENGTH, THRESHOLD = 1024, 4
PREFIX: dict[str, Any] = {
    "RoutingStrategy": "PREFIX_AWARE",
    "PrefixAwareRoutingConfig": {"PrefixLength": LENGTH, "ConcurrencyThreshold": THRESHOLD},
}
ROUTING = PrefixRouting(LENGTH, THRESHOLD)
KEYS = [PrefixRequest(b"{}", f"adapter-{number}") for number in range(600)]


def members(count: int, first: int = 1) -> list[Member]:
    instances = [
        SimpleNamespace(log=Path(f"Main-{number}.log"), alive=True) for number in range(first, first + count)
    ]
    return [Member(instance, "config") for instance in instances]  # type: ignore[arg-type]


def owners(fleet: list[Member]) -> list[str]:
    return [ROUTING.choose(fleet, key).id for key in KEYS]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_each_instance_has_its_share_of_the_keys(count: int) -> None:
    found = owners(members(count))
    for member in members(count):
        assert found.count(member.id) == pytest.approx(len(KEYS) / count, rel=0.25)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_only_the_keys_of_a_new_or_lost_instance_move(count: int) -> None:
    small, large = members(count), members(count + 1)
    new = large[-1].id
    for before, after in zip(owners(small), owners(large), strict=True):
        assert after in (before, new)
    assert owners(large).count(new) <= 1.25 * len(KEYS) / (count + 1)


@given(st.binary(), st.binary(min_size=1), st.permutations(range(5)))
def test_what_follows_the_prefix_and_the_order_of_instances_do_not_count(
    prefix: bytes, rest: bytes, order: list[int]
) -> None:
    fleet = members(5)
    padded = prefix.ljust(LENGTH)[:LENGTH]
    chosen = ROUTING.choose(fleet, PrefixRequest(padded, "otter"))
    assert ROUTING.choose([fleet[place] for place in order], PrefixRequest(padded + rest, "otter")) is chosen


def test_id_and_prefix_both_count() -> None:
    fleet = members(50)
    chosen = {
        ROUTING.choose(fleet, PrefixRequest(body, name)).id
        for body in (b"a", b"b", b"c")
        for name in (None, "a", "b", "ab")
    }
    assert len(chosen) > 6


@given(st.lists(st.integers(0, 2 * THRESHOLD), min_size=1, max_size=6))
def test_a_request_stays_below_the_threshold_and_goes_to_the_least_loaded_from_there(
    loads: list[int],
) -> None:
    fleet = members(len(loads))
    own = ROUTING.choose(fleet, KEYS[0])
    for member, load in zip(fleet, loads, strict=True):
        member.in_flight = load
    chosen = ROUTING.choose(fleet, KEYS[0])
    if own.in_flight < THRESHOLD:
        assert chosen is own
    else:
        assert chosen.in_flight == min(loads)


def fleet_of(count: int, first: int, share: float) -> Fleet:
    variant = {"VariantName": "Main", "RoutingConfig": PREFIX}
    fleet = Fleet({"ProductionVariants": [variant]}, {}, None, set())  # type: ignore[arg-type]
    fleet.members, fleet.share = members(count, first), share
    return fleet


def test_a_canary_gets_its_share_and_a_key_has_one_instance_in_each_fleet() -> None:
    old, new = fleet_of(3, 1, 0.9), fleet_of(2, 4, 0.1)
    found = [next_member([old, new], None, KEYS[0]) for _ in range(100)]
    assert [found.count(member) for member in new.members] in ([0, 10], [10, 0])
    assert sorted(found.count(member) for member in old.members) == [0, 0, 90]


@pytest.mark.parametrize(
    ("routing", "message"),
    [
        ({"RoutingStrategy": "PREFIX_AWARE"}, "needs ConcurrencyThreshold and PrefixLength"),
        (PREFIX | {"PrefixAwareRoutingConfig": {"PrefixLength": 1024}}, "needs ConcurrencyThreshold in"),
        (PREFIX | {"RoutingStrategy": "RANDOM"}, "is for RoutingStrategy PREFIX_AWARE: leave it out"),
    ],
)
def test_settings_that_do_not_fit_the_strategy_are_refused(routing: dict[str, Any], message: str) -> None:
    with pytest.raises(ServiceError, match=message):
        check_routing({"RoutingConfig": routing})


@pytest.mark.parametrize(
    "variant", [{}, {"RoutingConfig": {"RoutingStrategy": "RANDOM"}}, {"RoutingConfig": PREFIX}]
)
def test_settings_that_fit_are_taken(variant: dict[str, Any]) -> None:
    check_routing(variant)
