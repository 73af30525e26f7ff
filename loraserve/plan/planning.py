"""A plan: the configuration, what its slots exchange, what would be better, and other instance types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from loraserve.plan.configuration import Configuration, Misfit, evaluate
from loraserve.plan.exchange import Exchange, exchange
from loraserve.plan.question import PlanQuestion
from loraserve.plan.search import PlanChange, best, best_on, by_slots, changes, score, slot_counts
from stacks.sizing.demand import Demand
from stacks.sizing.instances import INSTANCE_TYPES

#: Changes that are proposed.
CHANGES = 3


@dataclass(frozen=True, kw_only=True)
class RankTable:
    """A rank, with numbers of slots."""

    rank: int
    rows: tuple[Configuration | Misfit, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The answer to a question."""

    question: PlanQuestion
    now: Configuration | Misfit
    """The configuration that the question starts from."""
    tables: tuple[RankTable, ...]
    price: Exchange
    """Of one more adapter in memory."""
    changes: tuple[PlanChange, ...]
    """The best single changes of `now`."""
    chosen: Configuration | None
    """The best of `tables` with the question's rank; None if none fits."""
    instances: tuple[Configuration, ...]
    """The best configuration on each of the instance types to compare, the cheapest first."""


def make_plan(
    question: PlanQuestion,
    *,
    slots: Sequence[int] = (),
    ranks: Sequence[int] = (),
    instances: Sequence[str] = (),
) -> Plan:
    """Plan for a question.

    Args:
        question: the configuration to start from, and its traffic.
        slots: numbers of slots to compare; empty: powers of two up to the number of adapters.
        ranks: ranks to compare; empty: the question's.
        instances: names of instance types to compare; empty: none.
    """
    demand = question.demand
    tables = tuple(
        _table(question, replace(demand, max_adapter_rank=rank), slots) for rank in _ranks(demand, ranks)
    )
    now = evaluate(question, demand)
    found = (best_on(question, demand, INSTANCE_TYPES[name]) for name in instances)
    return Plan(
        question=question,
        now=now,
        tables=tables,
        price=exchange(question, demand),
        changes=tuple(changes(question, now)[:CHANGES]),
        chosen=best(tables[0].rows),
        instances=tuple(sorted((each for each in found if each is not None), key=score)),
    )


def _ranks(demand: Demand, ranks: Sequence[int]) -> list[int]:
    """Return the ranks, the demand's first."""
    return list(dict.fromkeys((demand.max_adapter_rank, *ranks)))


def _table(question: PlanQuestion, demand: Demand, slots: Sequence[int]) -> RankTable:
    counts = slots or slot_counts(question, demand)
    return RankTable(rank=demand.max_adapter_rank, rows=tuple(by_slots(question, demand, counts)))
