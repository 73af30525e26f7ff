"""Deficit round robin over the requests that wait for the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from container.gateway.adapters.registry import Adapter
from container.gateway.scheduling.flow import (
    AdapterLine,
    Flow,
    FlowKey,
    Ticket,
    TicketState,
    flow_key,
    limits_of,
    weight,
)
from container.gateway.scheduling.rounds import Rounds

#: Requests of the mean size that a flow of weight 1 saves up while it is idle. A flow that asks at random
#: times for less than its share often has two or three requests at once; without savings all but the first
#: would wait for a round each.
SAVED_REQUESTS = 8
#: Weight of the newest request in the moving average of their tokens.
_NEWEST = 0.02


@dataclass(eq=False, slots=True)
class _Slot:
    """An adapter at the engine, and how many requests use it."""

    line: AdapterLine
    in_flight: int = 0
    drains: bool = False
    """True if no further request of it starts, so that its slot becomes free for another adapter."""


class FairQueue:
    """Requests wait here until they may start, in turns of flows: tenants, adapters, or the base model.

    Order    Deficit round robin: a round gives each flow as many tokens as its weight, `priority`. A request
             costs its estimated tokens and may leave its flow with a deficit; the flow is served again in the
             round that has made up for it. That round is a number (`Flow.round`) and a heap has the flows by
             it, so that rounds in which no request starts take no time. The lines of a flow, its adapters,
             are served in the same way. When a request ends, its true tokens correct both. A flow without a
             request that may start saves up the tokens of `SAVED_REQUESTS` mean requests, not more.
    Places   At most `places` requests are started and not ended.
    Slots    They have at most `slots` different adapters: the engine holds no more at once. The base model
             needs no slot, and a request whose adapter has one already needs no other.
    Limits   `max_concurrent` of the flow and of the line.
    Ageing   If slots are full of adapters that always have requests, one without a slot would wait for ever.
             So if it is the turn of a request that needs a slot, and it has waited `ageing_seconds`, it is
             chosen: the adapter with the fewest requests at the engine drains, and the first slot that
             becomes free belongs to the request. At most half of the slots drain at once.

    When `start_next` returns None, each waiting request lacks a place or a slot, drains, or is at its limit.
    `clock` returns seconds. Each method takes O(log n) for n flows, lines and slots.
    """

    def __init__(self, *, places: int, slots: int, ageing_seconds: float, clock: Callable[[], float]) -> None:
        """Hold no request."""
        self._places = places
        self._max_slots = slots
        self._max_chosen = max(1, slots // 2)
        self._ageing_seconds = ageing_seconds
        self._clock = clock
        #: Requests that wait, chosen ones left out; requests that are started.
        self.waiting = self.in_flight = 0
        # The round now, and the last one in which a request lost its turn for want of a slot.
        self._now = self._lost = 0.0
        self._mean_tokens = 0.0
        self._flows: dict[FlowKey, Flow] = {}
        # Flows with a line in `resident`, and in `absent`, whose limit allows one more request.
        self._resident: Rounds[Flow] = Rounds()
        self._absent: Rounds[Flow] = Rounds()
        self._longest: Rounds[Flow] = Rounds()
        # Flows without requests whose deficit is not made up for yet.
        self._idle: Rounds[Flow] = Rounds()
        self._slots: dict[str, _Slot] = {}
        # Slots that do not drain, by their requests; those that do, oldest first; tickets that wait for one.
        self._busy: Rounds[str] = Rounds()
        self._draining: dict[str, None] = {}
        self._chosen: dict[str, Ticket] = {}

    def add(self, adapter: Adapter | None, tokens: int) -> Ticket:
        """Add a request for an adapter, or for the base model, that costs so many tokens."""
        flow, line = self._line(adapter)
        ticket = Ticket(line, None if adapter is None else adapter.engine_id, tokens, self._clock())
        self._mean_tokens += _NEWEST * (tokens - self._mean_tokens) if self._mean_tokens else tokens
        line.waiting[ticket] = None
        flow.waiting += 1
        self.waiting += 1
        self._update(line)
        return ticket

    def start_next(self) -> Ticket | None:
        """Start the request whose turn it is and return it, None if none may start."""
        if self.in_flight >= self._places:
            return None
        if self._chosen and len(self._slots) < self._max_slots:
            ticket = next(iter(self._chosen.values()))
            del self._chosen[str(ticket.engine_id)]
            self._start(ticket)
            return ticket
        while (found := self._next_line()) is not None:
            line, lines = found
            if self._where(line) is not lines:
                # The adapter's tenant has changed meanwhile, so that it has two lines.
                self._update(line)
            elif lines is line.flow.resident or len(self._slots) < self._max_slots:
                ticket = self._take(line)
                self._start(ticket)
                return ticket
            else:
                self._choose(line)
        return None

    def leave(self, ticket: Ticket, used: int = 0) -> None:
        """Remove a request: one that waits, or one that has used so many tokens at the engine."""
        line, flow = ticket.line, ticket.line.flow
        state, ticket.state = ticket.state, TicketState.ENDED
        if state is TicketState.WAITING:
            del line.waiting[ticket]
            flow.waiting -= 1
            self.waiting -= 1
        elif state is TicketState.ENDED:
            return
        else:
            line.in_flight -= 1
            flow.in_flight -= 1
            self._charge(line, used - ticket.tokens)
            if state is TicketState.STARTED:
                self.in_flight -= 1
                self._release(ticket)
            else:
                del self._chosen[str(ticket.engine_id)]
            self._stop_draining()
        self._update(line)
        self._forget(line)

    def newest_of_longest(self, ticket: Ticket) -> Ticket:
        """Return the waiting request to refuse: the newest of the flow that has most of the queue by weight.

        `ticket` is a waiting one, and is returned if its own flow has as many as any other.
        """
        longest = self._longest.first()
        flow = ticket.line.flow
        if longest is None or _length(longest.waiting, longest) == _length(flow.waiting, flow):
            longest = flow
        line = longest.longest.first()
        if line is None or (
            ticket.line.flow is longest
            and _length(len(line.waiting), line) == _length(len(ticket.line.waiting), ticket.line)
        ):
            line = ticket.line
        return next(reversed(line.waiting))

    @property
    def _savings(self) -> float:
        """Rounds by which a flow that was idle is ahead of one that was not."""
        return SAVED_REQUESTS * self._mean_tokens

    def _line(self, adapter: Adapter | None) -> tuple[Flow, AdapterLine]:
        """Return the flow and line of an adapter, with its limits of now."""
        key = flow_key(None, None) if adapter is None else flow_key(adapter.tenant, adapter.name)
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = Flow(key)
        else:
            self._idle.discard(flow)
        name = "" if adapter is None else adapter.name
        line = flow.lines.get(name)
        if line is None:
            line = flow.lines[name] = AdapterLine(flow, name)
        flow.limits, line.limits = limits_of(adapter)
        return flow, line

    def _next_line(self) -> tuple[AdapterLine, Rounds[AdapterLine]] | None:
        """Return the line whose turn it is, and its heap: one that may start now or that may be chosen."""
        flow, other = self._resident.first(), self._absent.first()
        line = None if flow is None else flow.resident.first()
        absent = None if other is None else other.absent.first()
        if absent is not None:
            if flow is None or line is None:
                first = True
            elif flow is other:
                first = absent.round < line.round
            else:
                first = absent.flow.round < flow.round
            if first and (len(self._slots) < self._max_slots or self._may_be_chosen(absent)):
                return absent, absent.flow.absent
            if first and flow is not None and line is not None:
                # It and others lose their turn for want of a slot.
                self._lost = max(self._now, flow.round)
                if flow is other:
                    flow.lost = max(flow.now, line.round)
        return None if line is None else (line, line.flow.resident)

    def _may_be_chosen(self, line: AdapterLine) -> bool:
        head = next(iter(line.waiting))
        return len(self._chosen) < self._max_chosen and self._clock() - head.since >= self._ageing_seconds

    def _choose(self, line: AdapterLine) -> None:
        """Choose the line's next request for the next free slot, and have some adapter drain for it."""
        ticket = self._take(line)
        ticket.state = TicketState.CHOSEN
        self._chosen[str(ticket.engine_id)] = ticket
        drained = self._busy.first()
        if drained is not None and len(self._draining) < len(self._chosen):
            self._busy.discard(drained)
            self._draining[drained] = None
            self._slots[drained].drains = True
            self._update(self._slots[drained].line)
        self._update(line)

    def _take(self, line: AdapterLine) -> Ticket:
        """Take the next request out of a line, and charge its tokens."""
        flow = line.flow
        if line in flow.absent:
            # A turn that was lost for want of a slot is not made up for.
            flow.round = max(flow.round, self._lost - self._savings)
            line.round = max(line.round, flow.lost - self._savings)
        ticket = next(iter(line.waiting))
        del line.waiting[ticket]
        flow.waiting -= 1
        self.waiting -= 1
        line.in_flight += 1
        flow.in_flight += 1
        self._now = max(self._now, flow.round)
        flow.now = max(flow.now, line.round)
        self._charge(line, ticket.tokens)
        while (idle := self._idle.first()) is not None and idle.round <= self._now - self._savings:
            self._idle.discard(idle)
            del self._flows[idle.key]
        return ticket

    def _start(self, ticket: Ticket) -> None:
        ticket.state = TicketState.STARTED
        self.in_flight += 1
        name = ticket.engine_id
        if name is not None:
            slot = self._slots.get(name)
            if slot is None:
                slot = self._slots[name] = _Slot(ticket.line)
            slot.in_flight += 1
            if not slot.drains:
                self._busy.put(name, slot.in_flight)
            self._stop_draining()
        self._update(ticket.line)

    def _release(self, ticket: Ticket) -> None:
        """Count one request less in the slot of a started one."""
        name = ticket.engine_id
        if name is None:
            return
        slot = self._slots[name]
        slot.in_flight -= 1
        if slot.in_flight == 0:
            del self._slots[name]
            self._busy.discard(name)
            self._draining.pop(name, None)
        elif not slot.drains:
            self._busy.put(name, slot.in_flight)

    def _stop_draining(self) -> None:
        """Let requests of drained adapters start again, but of as many as chosen requests wait for."""
        while len(self._draining) > len(self._chosen):
            name, _ = self._draining.popitem()
            slot = self._slots[name]
            slot.drains = False
            self._busy.put(name, slot.in_flight)
            self._update(slot.line)

    def _charge(self, line: AdapterLine, tokens: int) -> None:
        line.round += tokens / weight(line.limits)
        line.flow.round += tokens / weight(line.flow.limits)

    def _update(self, line: AdapterLine) -> None:
        """Put a line and its flow where they belong after a change."""
        flow = line.flow
        where = self._where(line)
        if where is not None and line not in flow.resident and line not in flow.absent:
            line.round = max(line.round, flow.now - self._savings)
        for lines in (flow.resident, flow.absent):
            if lines is where:
                lines.put(line, line.round)
            else:
                lines.discard(line)
        if line.waiting:
            flow.longest.put(line, -_length(len(line.waiting), line))
            self._longest.put(flow, -_length(flow.waiting, flow))
        else:
            flow.longest.discard(line)
            if not flow.waiting:
                self._longest.discard(flow)
            else:
                self._longest.put(flow, -_length(flow.waiting, flow))
        is_open = flow.is_open
        if is_open and flow not in self._resident and flow not in self._absent:
            flow.round = max(flow.round, self._now - self._savings)
        for flows, lines in ((self._resident, flow.resident), (self._absent, flow.absent)):
            if is_open and len(lines):
                flows.put(flow, flow.round)
            else:
                flows.discard(flow)

    def _where(self, line: AdapterLine) -> Rounds[AdapterLine] | None:
        """Return the heap of its flow to which a line belongs, None if its next request may not start."""
        if not line.waiting or not line.is_open:
            return None
        name = next(iter(line.waiting)).engine_id
        if name is None:
            return line.flow.resident
        slot = self._slots.get(name)
        if slot is not None:
            return None if slot.drains else line.flow.resident
        return None if name in self._chosen else line.flow.absent

    def _forget(self, line: AdapterLine) -> None:
        """Remove a line and a flow without requests, once their deficit is made up for."""
        flow = line.flow
        if not line.waiting and not line.in_flight and line.round <= flow.now - self._savings:
            flow.lines.pop(line.name, None)
        if not flow.waiting and not flow.in_flight:
            if flow.round <= self._now - self._savings:
                del self._flows[flow.key]
            else:
                self._idle.put(flow, flow.round)


def _length(waiting: int, of: Flow | AdapterLine) -> float:
    return waiting / weight(of.limits)
