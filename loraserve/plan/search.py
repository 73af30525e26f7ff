"""Search over slots, settings and instance types."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from loraserve.plan.configuration import Configuration, Misfit, evaluate
from loraserve.plan.question import PlanQuestion
from stacks.sizing.demand import Demand
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.gpu_memory import tensor_parallel_problem
from stacks.sizing.hardware import hardware_problem
from stacks.sizing.instances import INSTANCE_TYPES, InstanceType

#: Two configurations whose cost differs by less are alike: the formula is not that exact.
ALIKE = 0.01
#: Modules of the smaller adapters that are compared: LoRA's own paper adapts the query and value projections.
FEW_MODULES = ("q_proj", "v_proj")
#: Ranks that are compared.
RANKS = (8, 16, 32, 64, 128)
#: Shares of the memory for adapters, in percent.
_SHARES = range(1, 60)


@dataclass(frozen=True)
class PlanChange:
    """One change of the configuration."""

    setting: str
    """Key of the stage file and its value."""
    configuration: Configuration
    needs: str = ""
    """Further conditions, e.g. of the adapters; empty: none."""


def score(configuration: Configuration) -> tuple[bool, float]:
    """Return what the search minimizes: USD for a million output tokens; without a price seconds for one,
    after all that have a price."""
    usd = configuration.usd_per_million
    return (usd is None, 1 / configuration.output_tokens_per_s.mid if usd is None else usd.mid)


def better(configuration: Configuration, than: Configuration) -> bool:
    """Return whether a configuration is cheaper by more than `ALIKE`."""
    (unpriced, cost), (than_unpriced, than_cost) = score(configuration), score(than)
    if unpriced is not than_unpriced:
        return than_unpriced
    return cost < (1 - ALIKE) * than_cost


def slot_counts(question: PlanQuestion, demand: Demand) -> list[int]:
    """Return numbers of slots to compare: powers of two below the number of adapters, all, the demand's."""
    adapters = question.adapters
    powers = {2**n for n in range(11) if 2**n < adapters}
    own = MEMORY[demand.engine].adapters(demand).resident
    return sorted(powers | {adapters, min(own, adapters)} - {0}) or [1]


def with_slots(demand: Demand, slots: int) -> Demand:
    """Return the demand with room for so many adapters.

    Where a share of the memory is kept for them, it is the least one, in percent, with room for all; the
    largest that is tried, if none has.
    """
    if MEMORY[demand.engine].adapters(demand).resident == slots:
        return demand
    wanted = replace(demand, max_active_adapters=slots)
    engine = MEMORY[demand.engine]
    if engine.adapter_key != "adapter_memory_fraction":
        return wanted
    shares = (replace(wanted, adapter_memory_fraction=percent / 100) for percent in _SHARES)
    enough = (other for other in shares if engine.adapters(other).resident >= slots)
    return next(enough, replace(wanted, adapter_memory_fraction=_SHARES[-1] / 100))


def by_slots(question: PlanQuestion, demand: Demand, counts: Iterable[int]) -> list[Configuration | Misfit]:
    """Evaluate a demand with each number of slots."""
    rows = ((slots, evaluate(question, with_slots(demand, slots))) for slots in counts)
    return [replace(row, asked=slots) if isinstance(row, Misfit) else row for slots, row in rows]


def best(configurations: Iterable[Configuration | Misfit]) -> Configuration | None:
    """Return the cheapest configuration, of those alike the one with most slots; None if none fits."""
    fitting = [found for found in configurations if isinstance(found, Configuration)]
    if not fitting:
        return None
    cheapest = min(fitting, key=score)
    return max((found for found in fitting if not better(cheapest, found)), key=lambda found: found.slots)


def changes(question: PlanQuestion, now: Configuration | Misfit) -> list[PlanChange]:
    """Return the single changes that make the configuration cheaper, or make it fit, the best first."""
    found = [
        change
        for change in _single_changes(question, now.demand)
        if isinstance(now, Misfit) or better(change.configuration, now)
    ]
    return sorted(found, key=lambda change: score(change.configuration))


def _single_changes(question: PlanQuestion, demand: Demand) -> Iterator[PlanChange]:
    yield from _of_slots(question, demand)
    yield from _of_adapters(question, demand)
    yield from _of_the_model(question, demand)
    more = replace(demand, max_num_seqs=2 * demand.max_num_seqs - question.other_seqs)
    yield from _change(
        question, more, f"engine.max_concurrent_requests: {more.max_num_seqs - question.other_seqs}"
    )
    others = (best_on(question, demand, instance) for instance in _cheapest(question, usable(demand)))
    other = best(found for found in others if found is not None and found.demand.instance != demand.instance)
    if other is not None:
        yield PlanChange(_instance_text(other.demand, demand), other)


def _of_slots(question: PlanQuestion, demand: Demand) -> Iterator[PlanChange]:
    found = best(by_slots(question, demand, slot_counts(question, demand)))
    if found is not None and found.demand != demand:
        yield PlanChange(" and ".join(_room_settings(found.demand, demand)), found)


def _room_settings(other: Demand, demand: Demand) -> list[str]:
    """Return the settings of the memory for adapters that are not the demand's.

    A higher limit of their number than the memory has room for stays as it is.
    """
    key = MEMORY[other.engine].adapter_key
    keys = [key] if getattr(other, key) != getattr(demand, key) else []
    if key != "max_active_adapters" and other.max_active_adapters > demand.max_active_adapters:
        keys.append("max_active_adapters")
    return [f"engine.{key}: {getattr(other, key):g}" for key in keys]


def _of_adapters(question: PlanQuestion, demand: Demand) -> Iterator[PlanChange]:
    modules = demand.rules.facts(demand.shape.architecture, has_code=False).modules()
    possible = demand.rules.reserves_modules and set(FEW_MODULES) <= set(modules)
    if possible and demand.adapter_target_modules is None:
        few = replace(demand, adapter_target_modules=FEW_MODULES)
        needs = "adapters that change these modules alone"
        yield from _change(question, few, f"engine.adapter_target_modules: [{', '.join(FEW_MODULES)}]", needs)
    lower = max((rank for rank in RANKS if rank < demand.max_adapter_rank), default=None)
    if lower is not None:
        less = replace(demand, max_adapter_rank=lower)
        needs = f"adapters of rank {lower} or lower"
        yield from _change(question, less, f"engine.max_adapter_rank: {lower}", needs)


def _of_the_model(question: PlanQuestion, demand: Demand) -> Iterator[PlanChange]:
    method = MEMORY[demand.engine].quantization
    if demand.quantize is None and demand.shape.stored_bytes is None:
        # Engines refuse a type beside some quantizations.
        quantized = replace(demand, quantize=method, dtype=None)
        if hardware_problem(demand.engine, demand.instance, None, method) is None:
            needs = "a check of the answers' quality"
            yield from _change(question, quantized, f"engine.quantize: {method}", needs)
    for gpus in _shareable(demand, demand.instance):
        if gpus > demand.tensor_parallel:
            yield from _change(
                question, replace(demand, tensor_parallel=gpus), f"engine.tensor_parallel: {gpus}"
            )


def _change(question: PlanQuestion, demand: Demand, setting: str, needs: str = "") -> Iterator[PlanChange]:
    found = evaluate(question, demand)
    if isinstance(found, Configuration):
        yield PlanChange(setting, found, needs)


def usable(demand: Demand) -> list[InstanceType]:
    """Return the instance types whose GPUs can run the engine with these settings."""
    return [
        instance
        for instance in INSTANCE_TYPES.values()
        if hardware_problem(demand.engine, instance, demand.dtype, demand.quantize) is None
    ]


def _cheapest(question: PlanQuestion, instances: Iterable[InstanceType]) -> list[InstanceType]:
    """Return of types with the same GPUs, which differ in the host alone, the one with the lowest price."""
    found: dict[tuple[str, float, int], InstanceType] = {}

    def price(instance: InstanceType) -> float:
        hour = question.instance_hour(instance.name)
        return math.inf if hour is None else hour

    for instance in sorted(instances, key=price):
        found.setdefault((instance.gpu, instance.gpu_gib, instance.gpus), instance)
    return list(found.values())


def best_on(question: PlanQuestion, demand: Demand, instance: InstanceType) -> Configuration | None:
    """Return the best configuration on an instance type, over slots and GPUs that share the model.

    None if none fits.
    """
    return best(
        found
        for gpus in _shareable(demand, instance)
        for found in by_slots(
            question,
            replace(demand, instance=instance, tensor_parallel=gpus),
            slot_counts(question, demand),
        )
    )


def _shareable(demand: Demand, instance: InstanceType) -> list[int]:
    return [
        gpus
        for gpus in (1, 2, 4, 8)
        if gpus <= instance.gpus
        and tensor_parallel_problem(demand.shape, instance, demand.engine, gpus) is None
    ]


def _instance_text(other: Demand, demand: Demand) -> str:
    settings = [f"endpoint.instance_type: {other.instance.name}"]
    if other.tensor_parallel != demand.tensor_parallel:
        settings.append(f"engine.tensor_parallel: {other.tensor_parallel}")
    return " and ".join([*settings, *_room_settings(other, demand)])
