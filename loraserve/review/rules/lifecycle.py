"""Lifecycle rules of a bucket, as the days after which it deletes objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loraserve.review.difference import Json

_NEVER = float("inf")
#: Properties of a rule that say which objects it is about.
_FILTERS = ("Prefix", "TagFilters", "ObjectSizeGreaterThan", "ObjectSizeLessThan")


@dataclass(frozen=True)
class Deletion:
    """Objects that a rule deletes."""

    prefix: str
    condition: str
    """Filters beside the prefix, as JSON; empty for none."""
    action: str
    """`expiration`, `expiration of old versions` or `end of unfinished uploads`."""

    def __str__(self) -> str:
        """Return e.g. "expiration of `adapters/`"."""
        return f"{self.action} of `{self.prefix}`{f' with {self.condition}' if self.condition else ''}"


@dataclass(frozen=True)
class LifecycleChange:
    """Two lifecycle configurations compared."""

    shorter: Mapping[Deletion, tuple[float, float]]
    """Deletions that are earlier, with days before and after; infinity for never."""
    longer: Mapping[Deletion, tuple[float, float]]
    is_comparable: bool
    """False if rules differ in something else, such as a transition to another storage class."""


def compare_lifecycles(before: Json, after: Json) -> LifecycleChange:
    """Compare two values of `LifecycleConfiguration`; None for an absent one."""
    old, old_rest = _read(before)
    new, new_rest = _read(after)
    pairs = {key: (old.get(key, _NEVER), new.get(key, _NEVER)) for key in sorted({*old, *new}, key=str)}
    return LifecycleChange(
        shorter={key: pair for key, pair in pairs.items() if pair[1] < pair[0]},
        longer={key: pair for key, pair in pairs.items() if pair[1] > pair[0]},
        is_comparable=old_rest == new_rest,
    )


def _read(configuration: Json) -> tuple[dict[Deletion, float], str]:
    """Return the days of each deletion, and what of the rules these do not say, as JSON."""
    days: dict[Deletion, float] = {}
    rest: list[Any] = []
    if configuration is None:
        return days, json.dumps(rest)
    rules = configuration.get("Rules") if isinstance(configuration, dict) else None
    if not isinstance(rules, list) or set(configuration) != {"Rules"}:
        return days, json.dumps([configuration], sort_keys=True)
    for each in rules:
        if not isinstance(each, dict):
            rest.append(each)
            continue
        rule = {name: value for name, value in each.items() if name != "Id"}
        if (status := rule.pop("Status", None)) == "Disabled":
            continue
        if status != "Enabled":  # by a condition
            rest.append(each)
        filters = {name: rule.pop(name) for name in _FILTERS if name in rule}
        prefix = filters.pop("Prefix", "") if isinstance(filters.get("Prefix", ""), str) else "*"
        condition = json.dumps(filters, sort_keys=True) if filters else ""
        for action, number in _deletions(rule):
            key = Deletion(prefix, condition, action)
            days[key] = min(number, days.get(key, _NEVER))
        if rule:
            rest.append([prefix, condition, rule])
    return days, json.dumps(sorted(rest, key=json.dumps), sort_keys=True)


def _deletions(rule: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Take the deletions out of a rule, with their days."""
    # It deletes markers without versions, no data.
    rule.pop("ExpiredObjectDeleteMarker", None)
    if isinstance(rule.get("ExpirationInDays"), int):
        yield "expiration", rule.pop("ExpirationInDays")
    for name, action, field in (
        ("NoncurrentVersionExpiration", "expiration of old versions", "NoncurrentDays"),
        ("AbortIncompleteMultipartUpload", "end of unfinished uploads", "DaysAfterInitiation"),
    ):
        found = rule.get(name)
        if isinstance(found, dict) and set(found) == {field} and isinstance(found[field], int):
            yield action, rule.pop(name)[field]
