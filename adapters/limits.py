"""Limits of an adapter or a tenant, and the labels of the manifest on which the gateway acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Final

from adapters.errors import InvalidName
from adapters.names import check_name
from adapters.strict_json import shown

#: Label with the name of the customer whose adapters share the tenant's limits and its share of the engine.
TENANT_LABEL: Final = "tenant"
#: Label of an adapter that stays in the engine's memory, if its value is `PINNED`.
PINNED_LABEL: Final = "pinned"
PINNED: Final = "true"
_NOT_PINNED: Final = "false"
#: Largest `Limits.priority`.
MAX_PRIORITY: Final = 100


@dataclass(frozen=True)
class Limits:
    """Limits of one adapter, or of all adapters of one tenant, on each instance; None: no limit."""

    max_concurrent: int | None = None
    """Requests at the engine at once."""
    tokens_per_minute: int | None = None
    """Tokens of prompts and answers within a minute."""
    priority: int | None = None
    """Weight of its share of a busy engine, from 1, the default, to `MAX_PRIORITY`."""

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Limits:
        """Build limits from a registry entry; keys and values that are not valid set no limit."""
        valid = {
            known.name: value
            for known in fields(cls)
            if isinstance(value := data.get(known.name), int) and value >= 1
        }
        return cls(**valid)

    def to_dict(self) -> dict[str, int]:
        """Return the limits that are set, as a registry entry has them."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def label_problem(labels: Mapping[str, str]) -> str | None:
    """Return what is wrong with a label on which the gateway acts, and the remedy; None if nothing."""
    pinned, tenant = labels.get(PINNED_LABEL), labels.get(TENANT_LABEL)
    if pinned not in {None, PINNED, _NOT_PINNED}:
        return f"label {PINNED_LABEL}: {shown(pinned)}: write {PINNED} or {_NOT_PINNED}"
    if tenant is None:
        return None
    try:
        check_name(tenant)
    except InvalidName as error:
        return f"label {TENANT_LABEL}: {shown(tenant)}: write a name like an adapter's: {error.remedy}"
    return None


def pairs(values: Mapping[str, object]) -> str:
    """Format labels or limits for people, e.g. `max_concurrent=4, priority=2`; empty for none."""
    return ", ".join(f"{key}={value}" for key, value in sorted(values.items()))


#: No limits.
UNLIMITED: Final = Limits()
