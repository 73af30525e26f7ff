"""The exchange between adapters and batch: what a slot costs, and which of the two to take more of."""

from __future__ import annotations

from dataclasses import dataclass

from loraserve.plan.configuration import Configuration, Misfit
from loraserve.plan.numbers import MOST_SLOTS
from loraserve.plan.question import PlanQuestion
from loraserve.plan.search import better, with_slots
from stacks.sizing.demand import Demand
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.gpu_memory import kv_per_token_of

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """Memory of one more adapter, in tokens and sequences of the KV cache."""

    bytes: float
    """On each GPU."""
    kv_tokens: float
    sequences: float
    """Of the typical request's length."""


def exchange(question: PlanQuestion, demand: Demand) -> Exchange:
    """Return the memory of one more adapter in the engine's memory."""
    # Of as many as possible: where a share of the memory is kept for them, what is left of it is small then.
    most = MEMORY[demand.engine].adapters(with_slots(demand, MOST_SLOTS))
    each = most.reserved / max(1, most.resident)
    tokens = each / kv_per_token_of(demand)
    return Exchange(bytes=each, kv_tokens=tokens, sequences=tokens / question.traffic.total_tokens)


def exchange_sentence(question: PlanQuestion, demand: Demand, price: Exchange) -> str:
    """Return the price of one adapter's room in a sentence."""
    where = "all linear layers"
    if demand.adapter_target_modules is not None:
        where = ", ".join(demand.adapter_target_modules)
    return (
        f"Room for one adapter of rank {demand.max_adapter_rank} on {where} takes "
        f"{price.bytes / MIB:.1f} MiB of each GPU: {price.kv_tokens:,.0f} tokens of KV cache, "
        f"or {price.sequences:.1f} sequences of {question.traffic.total_tokens:,.0f}."
    )


def verdict_sentence(
    question: PlanQuestion, now: Configuration | Misfit, found: list[Configuration | Misfit]
) -> str:
    """Answer in a sentence: a bigger batch, or more adapters in memory?

    Args:
        question: the question.
        now: the configuration that it starts from.
        found: the same with other numbers of slots.
    """
    if not question.adapters:
        return "Neither: no request has an adapter."
    fitting = [each for each in found if isinstance(each, Configuration)]
    if not fitting:
        reasons = [f"{each.slots}: {each.reason}" for each in found if isinstance(each, Misfit)]
        return f"Neither: no number of slots of the table serves these requests. With {reasons[0]}."
    best = max(fitting, key=lambda each: each.output_tokens_per_s.mid)
    largest = max(fitting, key=lambda each: each.slots)
    fewer = best.slots < now.slots
    if isinstance(now, Misfit):
        what = "Fewer slots" if fewer else "More resident adapters"
        return f"{what}: with {now.slots}, {now.reason}; with {best.slots} it serves {_serves(best)}."
    if better(best, now):
        what = "More resident adapters"
        if fewer:
            what = "Bigger batch" if best.bound.batch > now.bound.batch else "Fewer resident adapters"
        return f"{what}: {best.slots} slots instead of {now.slots}{_effects(now, best)}"
    if largest.slots >= question.adapters and not better(now, largest):
        free = "the slots cost no throughput" if len(fitting) > 1 else "there is one"
        return f"More resident adapters: all {question.adapters} have a slot, and {free} here."
    return (
        f"Neither: with {now.slots} slots the limit is {now.bound.limit} ({now.bound.batch:.0f} sequences), "
        "and the table has no number of slots that gives more."
    )


def _effects(now: Configuration, best: Configuration) -> str:
    """Say what another number of slots changes: batch, different adapters, and requests without a slot."""
    batch = f"the batch from {now.bound.batch:.0f} sequences to {best.bound.batch:.0f}"
    different = f"its different adapters from {now.different:.1f} to {best.different:.1f}"
    missed = f"{best.miss_rate:.0%} of the requests then find their adapter without a slot"
    if best.miss_rate != now.miss_rate:
        missed += f", {now.miss_rate:.0%} before"
    return f" change {batch} and {different}, for {_serves(best, now)}; {missed}."


def _serves(best: Configuration, now: Configuration | None = None) -> str:
    tokens = best.output_tokens_per_s.mid
    text = f"{tokens:,.0f} output tokens per second"
    return text if now is None else f"{text} ({tokens / now.output_tokens_per_s.mid - 1:+.0%})"
