"""Lifecycle rules of a bucket, as the days after which it deletes objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loraserve.review.difference import Json

_NEVER = float("inf")


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
    for each in (configuration or {}).get("Rules", ()):
        rule = dict(each)
        rule.pop("Id", None)
        if rule.pop("Status", None) != "Enabled":
            continue
        prefix = rule.pop("Prefix", "")
        filters = {
            name: rule.pop(name)
            for name in ("TagFilters", "ObjectSizeGreaterThan", "ObjectSizeLessThan")
            if name in rule
        }
        condition = json.dumps(filters, sort_keys=True) if filters else ""
        # It deletes markers without versions, no data.
        rule.pop("ExpiredObjectDeleteMarker", None)
        versions = rule.get("NoncurrentVersionExpiration", {})
        found = {
            "expiration": rule.pop("ExpirationInDays", None),
            "expiration of old versions": rule.pop("NoncurrentVersionExpirationInDays", None),
            "end of unfinished uploads": rule.get("AbortIncompleteMultipartUpload", {}).get(
                "DaysAfterInitiation"
            ),
        }
        rule.pop("AbortIncompleteMultipartUpload", None)
        if set(versions) == {"NoncurrentDays"}:
            found["expiration of old versions"] = versions["NoncurrentDays"]
            rule.pop("NoncurrentVersionExpiration")
        for action, number in found.items():
            if isinstance(number, int):
                key = Deletion(prefix, condition, action)
                days[key] = min(number, days.get(key, _NEVER))
            elif number is not None:
                rule[action] = number
        if rule:
            rest.append([prefix, condition, rule])
    return days, json.dumps(sorted(rest, key=json.dumps), sort_keys=True)
