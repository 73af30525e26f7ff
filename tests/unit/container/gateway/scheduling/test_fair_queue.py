"""The fair queue: the rules that hold after any sequence of events, and the shares of a busy engine."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from adapters.limits import UNLIMITED, Limits
from container.gateway.adapters.registry import Adapter
from container.gateway.scheduling.fair_queue import SAVED_REQUESTS, FairQueue
from container.gateway.scheduling.flow import Ticket, TicketState

AGEING = 2.0
LONGEST = 1000
LIMITS = st.builds(
    Limits,
    max_concurrent=st.none() | st.integers(1, 3),
    priority=st.none() | st.integers(1, 4),
)


def adapter(name: str, tenant: str | None = None, limits: Limits = UNLIMITED, revision: str = "0") -> Adapter:
    return Adapter(name, revision * 16, 1, tenant=tenant, limits=limits)


class QueueMachine(RuleBasedStateMachine):
    """Requests arrive, start, end and leave in any order, for adapters with tenants and limits."""

    @initialize(
        places=st.integers(1, 6),
        slots=st.integers(1, 4),
        limits=st.lists(LIMITS, min_size=6, max_size=6),
        tenants=st.lists(st.sampled_from([None, None, "t", "u"]), min_size=6, max_size=6),
        tenant_limits=LIMITS,
    )
    def begin(
        self,
        places: int,
        slots: int,
        limits: list[Limits],
        tenants: list[str | None],
        tenant_limits: Limits,
    ) -> None:
        self.places, self.slots = places, slots
        self.now = 0.0
        self.queue = FairQueue(places=places, slots=slots, ageing_seconds=AGEING, clock=lambda: self.now)
        self.adapters: list[Adapter | None] = [
            Adapter(
                f"a{number}",
                "0" * 16,
                1,
                tenant=tenant,
                limits=limit,
                tenant_limits=UNLIMITED if tenant is None else tenant_limits,
            )
            for number, (limit, tenant) in enumerate(zip(limits, tenants, strict=True))
        ]
        # A second revision of the first adapter, and the base model.
        first = self.adapters[0]
        assert first is not None
        self.adapters += [adapter(first.name, first.tenant, first.limits, "1"), None]
        self.asked: dict[Ticket, Adapter | None] = {}
        self.started: list[Ticket] = []
        self.settled = False

    def waiting(self) -> list[Ticket]:
        return [each for each in self.asked if each not in self.started]

    @rule(number=st.integers(0, 7), tokens=st.integers(1, LONGEST))
    def arrive(self, number: int, tokens: int) -> None:
        asked = self.adapters[number]
        self.asked[self.queue.add(asked, tokens)] = asked
        self.settled = False

    @rule(data=st.data())
    @precondition(lambda self: self.started)
    def end(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.started))
        self.started.remove(ticket)
        del self.asked[ticket]
        self.queue.leave(ticket, data.draw(st.integers(0, LONGEST)))
        self.settled = False

    @rule(data=st.data())
    @precondition(lambda self: self.waiting())
    def cancel(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.waiting()))
        del self.asked[ticket]
        self.queue.leave(ticket)
        assert ticket.state is TicketState.ENDED
        self.settled = False

    @rule(seconds=st.floats(0.1, 3))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def start(self) -> None:
        while (ticket := self.queue.start_next()) is not None:
            assert ticket in self.asked, "a cancelled or ended request never starts"
            assert ticket not in self.started, "a request starts once"
            self.started.append(ticket)
            self.stays_within_limits()
        self.settled = True

    @invariant()
    def stays_within_limits(self) -> None:
        if not hasattr(self, "queue"):
            return
        running = [self.asked[each] for each in self.started]
        assert len(running) <= self.places
        assert len({each.engine_id for each in running if each is not None}) <= self.slots
        names = Counter(each.name for each in running if each is not None)
        tenants = Counter(each.tenant for each in running if each is not None)
        for each in running:
            if each is not None:
                assert names[each.name] <= (each.limits.max_concurrent or self.places)
                if each.tenant is not None:
                    assert tenants[each.tenant] <= (each.tenant_limits.max_concurrent or self.places)

    @invariant()
    def counts_each_request_once(self) -> None:
        if not hasattr(self, "queue"):
            return
        chosen = [each for each in self.asked if each.state is TicketState.CHOSEN]
        assert self.queue.in_flight == len(self.started)
        assert self.queue.waiting == len(self.asked) - len(self.started) - len(chosen)

    @invariant()
    def no_place_is_free_while_a_request_may_start(self) -> None:
        if not hasattr(self, "queue") or not self.settled or len(self.started) >= self.places:
            return
        running = {each.engine_id for each in self.started} - {None}
        slots_full = len(running) >= self.slots
        chosen = [each for each in self.asked if each.state is TicketState.CHOSEN]
        draining = self.queue._draining
        assert len(draining) <= len(chosen) <= max(1, self.slots // 2)
        assert not draining or slots_full
        for line in {each.line for each in self.waiting() if each.state is TicketState.WAITING}:
            head = next(iter(line.waiting))
            assert (
                not line.is_open
                or not line.flow.is_open
                or (head.engine_id is not None and head.engine_id not in running and slots_full)
                or head.engine_id in draining
            ), "it has a place, a slot and its limit's leave"

    def teardown(self) -> None:
        if not hasattr(self, "queue"):
            return
        while self.asked:
            self.start()
            assert self.started, "whatever waits starts in the end"
            ticket = self.started.pop(0)
            del self.asked[ticket]
            self.queue.leave(ticket, ticket.tokens)
        assert (self.queue.waiting, self.queue.in_flight) == (0, 0)
        assert not self.queue._slots
        assert not self.queue._draining


def test_rules_hold_after_any_sequence_of_events() -> None:
    run_state_machine_as_test(QueueMachine, settings=settings(max_examples=60, stateful_step_count=40))


WEIGHTS = st.lists(st.integers(1, 5), min_size=2, max_size=6)
COSTS = st.lists(st.integers(1, LONGEST), min_size=1, max_size=20)


@given(weights=WEIGHTS, costs=COSTS, places=st.integers(1, 8))
@settings(max_examples=40)
def test_shares_of_a_busy_engine_follow_the_weights_at_any_time(
    weights: list[int], costs: list[int], places: int
) -> None:
    """The bound of start-time fair queueing: two flows that always wait differ by one request each."""
    queue = FairQueue(places=places, slots=len(weights), ageing_seconds=AGEING, clock=lambda: 0.0)
    flows = [adapter(f"a{n}", limits=Limits(priority=weight)) for n, weight in enumerate(weights)]
    served = _served(queue, flows, costs, steps=200)
    per_weight = [tokens / weight for tokens, weight in zip(served, weights, strict=True)]
    bounds = [max(costs) / weight for weight in weights]
    for share, bound in zip(per_weight, bounds, strict=True):
        for other, other_bound in zip(per_weight, bounds, strict=True):
            assert share - other <= bound + other_bound + 1e-6


@given(weights=WEIGHTS, costs=COSTS)
@settings(max_examples=40)
def test_adapters_of_a_tenant_share_its_turn(weights: list[int], costs: list[int]) -> None:
    queue = FairQueue(places=1, slots=100, ageing_seconds=AGEING, clock=lambda: 0.0)
    alone = adapter("alone")
    together = [adapter(f"a{n}", "t", Limits(priority=weight)) for n, weight in enumerate(weights)]
    served = _served(queue, [alone, *together], costs, steps=200)
    longest = max(costs)
    assert abs(served[0] - sum(served[1:])) <= 2 * longest
    per_weight = [tokens / weight for tokens, weight in zip(served[1:], weights, strict=True)]
    assert max(per_weight) - min(per_weight) <= 2 * longest


def _served(queue: FairQueue, adapters: Sequence[Adapter], costs: list[int], steps: int) -> list[int]:
    """Return the tokens that each adapter has got, with requests of all of them waiting all the time."""
    served = [0] * len(adapters)
    owner: dict[Ticket, int] = {}
    running: list[Ticket] = []
    for number, each in enumerate(adapters):
        for turn in range(9):
            owner[queue.add(each, costs[(number + turn) % len(costs)])] = number
    for step in range(steps):
        while (ticket := queue.start_next()) is not None:
            number = owner[ticket]
            served[number] += ticket.tokens
            running.append(ticket)
            owner[queue.add(adapters[number], costs[(number + step) % len(costs)])] = number
        ended = running.pop(0)
        queue.leave(ended, ended.tokens)
    return served


def test_true_tokens_correct_the_estimate() -> None:
    """An adapter that asks for 100 tokens and uses 10 gets as many tokens as one that asks for 10."""
    queue = FairQueue(places=4, slots=2, ageing_seconds=AGEING, clock=lambda: 0.0)
    asks = {"modest": 10, "vague": 100}
    used: Counter[str] = Counter()
    running: list[Ticket] = []
    for name, tokens in asks.items():
        for _ in range(10):
            queue.add(adapter(name), tokens)
    for _ in range(1000):
        while (ticket := queue.start_next()) is not None:
            running.append(ticket)
            queue.add(adapter(ticket.line.name), asks[ticket.line.name])
        ended = running.pop(0)
        used[ended.line.name] += 10
        queue.leave(ended, 10)
    assert used["vague"] / used["modest"] > 0.9


@given(
    slots=st.integers(1, 4),
    cold=st.integers(1, 6),
    places=st.integers(1, 8),
    tenant=st.sampled_from([None, "t"]),
)
@settings(max_examples=40)
def test_no_adapter_starves_while_the_slots_are_full(
    slots: int, cold: int, places: int, tenant: str | None
) -> None:
    """As many adapters as slots always have requests; each request of another one starts in bounded time."""
    now = 0.0
    queue = FairQueue(places=places, slots=slots, ageing_seconds=AGEING, clock=lambda: now)
    hot = [adapter(f"hot{number}", tenant) for number in range(slots)]
    for each in hot:
        for _ in range(3):
            queue.add(each, 10)
    ends: list[tuple[float, int, Ticket]] = []
    waits: set[Ticket] = set()
    for count in range(10_000):
        while (ticket := queue.start_next()) is not None:
            heapq.heappush(ends, (now + 1, count + len(ends) * 100_000, ticket))
            waits.discard(ticket)
            if ticket.line.name.startswith("hot"):
                queue.add(hot[int(ticket.line.name[3:])], 10)
        if count == 3 * slots:
            began = now
            waits = {queue.add(adapter(f"cold{number}", tenant), 10) for number in range(cold)}
        elif count > 3 * slots and not waits:
            # Each drains in 1 s and runs for 1 s, if need be one after the other, and all places may be taken.
            assert now - began <= AGEING + (slots + cold) * 3
            return
        now, _, ended = heapq.heappop(ends)
        queue.leave(ended, 10)
    raise AssertionError(f"{len(waits)} requests never start")


def test_a_new_adapter_is_served_before_those_that_have_had_much() -> None:
    queue = FairQueue(places=1, slots=2, ageing_seconds=AGEING, clock=lambda: 0.0)
    for _ in range(20):
        queue.add(adapter("aggressor"), 100)
    for _ in range(5):
        ticket = queue.start_next()
        assert ticket is not None
        queue.leave(ticket, 100)
    polite = queue.add(adapter("polite"), 100)
    assert queue.start_next() is polite


def test_an_idle_adapter_saves_up_a_few_requests() -> None:
    queue = FairQueue(places=1, slots=2, ageing_seconds=AGEING, clock=lambda: 0.0)

    def serve(count: int) -> str:
        names = ""
        for _ in range(count):
            ticket = queue.start_next()
            assert ticket is not None
            names += ticket.line.name
            queue.leave(ticket, 100)
        return names

    queue.add(adapter("b"), 100)
    serve(1)
    for _ in range(50):
        queue.add(adapter("a"), 100)
    serve(30)
    for _ in range(30):
        queue.add(adapter("b"), 100)
    served = serve(20)
    assert served.startswith("b" * SAVED_REQUESTS)
    assert "bb" not in served[SAVED_REQUESTS + 1 :]


def test_the_newest_request_of_the_longest_flow_is_refused() -> None:
    queue = FairQueue(places=1, slots=9, ageing_seconds=AGEING, clock=lambda: 0.0)
    many = [queue.add(adapter("many"), 10) for _ in range(3)]
    few = queue.add(adapter("few"), 10)
    assert queue.newest_of_longest(few) is many[-1]
    assert queue.newest_of_longest(many[-1]) is many[-1]
    heavy = [queue.add(adapter("heavy", limits=Limits(priority=4)), 10) for _ in range(5)]
    assert queue.newest_of_longest(heavy[-1]) is many[-1], "it has less for its weight"


@given(
    names=st.lists(st.sampled_from("abcd"), min_size=1, max_size=60),
    weights=st.lists(st.integers(1, 4), min_size=4, max_size=4),
    bound=st.integers(1, 12),
)
@settings(max_examples=60)
def test_a_flow_below_its_share_of_the_queue_is_never_refused(
    names: list[str], weights: list[int], bound: int
) -> None:
    adapters = {
        name: adapter(name, limits=Limits(priority=weight))
        for name, weight in zip("abcd", weights, strict=True)
    }
    queue = FairQueue(places=1, slots=1, ageing_seconds=AGEING, clock=lambda: 0.0)
    queue.add(None, 1)
    queue.start_next()
    waiting: Counter[str] = Counter()
    for name in names:
        ticket = queue.add(adapters[name], 10)
        waiting[name] += 1
        if queue.waiting > bound:
            refused = queue.newest_of_longest(ticket)
            of = refused.line.name
            total = sum(adapters[each].limits.priority or 1 for each in waiting)
            assert waiting[of] > bound * (adapters[of].limits.priority or 1) / total
            queue.leave(refused)
            waiting[of] -= 1
            waiting = +waiting
        assert queue.waiting == waiting.total() <= bound
