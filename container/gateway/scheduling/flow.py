"""Requests of one customer or adapter: tickets in lines, lines in flows."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from adapters.limits import UNLIMITED, Limits
from container.gateway.adapters.registry import Adapter
from container.gateway.scheduling.rounds import Rounds

#: A flow's key: ("tenant", label), ("adapter", name) or ("base", "").
FlowKey = tuple[str, str]
_BASE: FlowKey = ("base", "")


class TicketState(Enum):
    """State of a request in the queue."""

    WAITING = "waiting"
    CHOSEN = "chosen"
    """Its turn has come, and only a slot is missing."""
    STARTED = "started"
    ENDED = "ended"


@dataclass(eq=False, slots=True)
class Ticket:
    """One request."""

    line: AdapterLine
    engine_id: str | None
    """The adapter at the engine; None for the base model."""
    tokens: int
    """Estimated tokens of prompt and answer."""
    since: float
    """The time at which it was added."""
    state: TicketState = TicketState.WAITING


@dataclass(eq=False, slots=True)
class AdapterLine:
    """The requests of one adapter, first come first served."""

    flow: Flow
    name: str
    limits: Limits = UNLIMITED
    in_flight: int = 0
    """Requests that are chosen or started."""
    round: float = 0.0
    """The round within the flow in which it is served next."""
    waiting: dict[Ticket, None] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """True if its limit allows one more request at the engine."""
        limit = self.limits.max_concurrent
        return limit is None or self.in_flight < limit


@dataclass(eq=False, slots=True)
class Flow:
    """The adapters that share one turn: those of a tenant, one without a tenant, or the base model."""

    key: FlowKey
    limits: Limits = UNLIMITED
    in_flight: int = 0
    waiting: int = 0
    round: float = 0.0
    """The round in which it is served next."""
    now: float = 0.0
    """The round of its lines now."""
    lost: float = 0.0
    """The last of its lines' rounds in which a request lost its turn for want of a slot."""
    lines: dict[str, AdapterLine] = field(default_factory=dict)
    resident: Rounds[AdapterLine] = field(default_factory=Rounds)
    """Lines whose next request may start now: its adapter has a slot, or needs none."""
    absent: Rounds[AdapterLine] = field(default_factory=Rounds)
    """Lines whose next request needs a slot."""
    longest: Rounds[AdapterLine] = field(default_factory=Rounds)
    """Lines with waiting requests, the longest first."""

    @property
    def is_open(self) -> bool:
        """True if its limit allows one more request at the engine."""
        limit = self.limits.max_concurrent
        return limit is None or self.in_flight < limit


def flow_key(tenant: str | None, adapter: str | None) -> FlowKey:
    """Return the key of the flow of an adapter's requests; without an adapter it is the base model's."""
    if adapter is None:
        return _BASE
    return ("adapter", adapter) if tenant is None else ("tenant", tenant)


def limits_of(adapter: Adapter | None) -> tuple[Limits, Limits]:
    """Return the limits of the flow and of the line: without a tenant the adapter's are those of its flow."""
    if adapter is None:
        return UNLIMITED, UNLIMITED
    return (adapter.limits, UNLIMITED) if adapter.tenant is None else (adapter.tenant_limits, adapter.limits)


def weight(limits: Limits) -> int:
    """Return the weight of a flow or line."""
    return limits.priority or 1
