"""Remedies for a memory plan that does not fit or is tight: each computed by planning again."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import replace

from stacks.sizing.demand import Demand
from stacks.sizing.gpu_memory import MemoryPlan, plan_of, tensor_parallel_problem
from stacks.sizing.hardware import hardware_problem
from stacks.sizing.instances import INSTANCE_TYPES, InstanceType
from stacks.sizing.memory_parts import GIB

_SEVERAL = (
    "no single change is enough: change several of engine.max_total_tokens, engine.quantize and "
    "endpoint.instance_type"
)
#: Lengths are proposed in these steps.
_TOKENS_STEP = 256


def memory_problem(found: MemoryPlan) -> str | None:
    """Return what is wrong with a plan and what to write instead, in a sentence; None if it fits well."""
    demand = found.demand
    if found.verdict == "fits":
        return None
    remedies = list(_remedies(found))
    write = f"write {'; or '.join(remedies)}" if remedies else _SEVERAL
    sums = "; ".join(found.arithmetic()[:-1])
    if found.verdict == "does not fit":
        return (
            f"the model needs {found.needed / GIB:.1f} GiB of each GPU of {demand.instance.name}, of which "
            f"{demand.engine} may use {found.available / GIB:.1f} ({sums}): {write}"
        )
    if found.adapters.resident < 1:
        return (
            f"an adapter of rank {demand.max_adapter_rank} on all modules is larger than what "
            f"{found.engine.adapter_key} keeps ({found.adapters.reserved / GIB:.1f} GiB), and "
            f"{demand.rules.title} refuses it: {write}"
        )
    return (
        f"each GPU of {demand.instance.name} has {found.spare / GIB:.1f} GiB to spare, with a KV cache for "
        f"{found.sequences} sequence(s) of max_total_tokens {demand.max_total_tokens} ({sums}): {write}"
    )


def _remedies(found: MemoryPlan) -> Iterator[str]:
    """Yield for each key the least change that is enough alone."""
    demand = found.demand
    wanted = ("fits",) if found.verdict == "tight" else ("fits", "tight")

    def enough(other: Demand) -> bool:
        other_plan = plan_of(other)
        return other_plan is not None and other_plan.verdict in wanted

    def first(others: Iterable[Demand]) -> Demand | None:
        return next(filter(enough, others), None)

    yield from found.engine.adapter_remedies(demand, enough)
    longest = (demand.max_total_tokens - 1) // _TOKENS_STEP * _TOKENS_STEP
    lengths = range(longest, demand.max_input_tokens, -_TOKENS_STEP)
    # By bisection, because a stage file may have any number here: a shorter length never needs more.
    found_at = bisect_left(lengths, True, key=lambda length: enough(replace(demand, max_total_tokens=length)))
    if found_at < len(lengths):
        yield f"engine.max_total_tokens: {lengths[found_at]}"
    quantized = replace(demand, quantize=found.engine.quantization, dtype=None)
    if demand.quantize is None and demand.shape.stored_bytes is None and enough(quantized):
        # LoRAX refuses both together.
        yield f"engine.quantize: {quantized.quantize}{' without engine.dtype' if demand.dtype else ''}"
    if (other := first(_more_gpus(demand))) is not None:
        yield f"engine.tensor_parallel: {other.tensor_parallel}"
    if (other := first(_larger_instances(demand))) is not None:
        yield f"endpoint.instance_type: {other.instance.name}"
    elif (other := first(_instances_with_more_gpus(demand))) is not None:
        gpus = f"engine.tensor_parallel: {other.tensor_parallel}"
        yield f"endpoint.instance_type: {other.instance.name} with {gpus}"


def _more_gpus(demand: Demand) -> Iterator[Demand]:
    for gpus in range(demand.tensor_parallel + 1, demand.instance.gpus + 1):
        if tensor_parallel_problem(demand.shape, demand.instance, demand.engine, gpus) is None:
            yield replace(demand, tensor_parallel=gpus)


def _larger_instances(demand: Demand) -> Iterator[Demand]:
    """Yield demands on instances with more memory per GPU, the smallest first."""
    for instance in _usable(demand):
        if instance.gpu_gib > demand.instance.gpu_gib and instance.gpus >= demand.tensor_parallel:
            yield replace(demand, instance=instance)


def _instances_with_more_gpus(demand: Demand) -> Iterator[Demand]:
    for instance in _usable(demand):
        yield from _more_gpus(replace(demand, instance=instance))


def _usable(demand: Demand) -> list[InstanceType]:
    """Return the instances that the engine runs on, by the memory of all GPUs, then in the table's order."""
    return sorted(
        (
            instance
            for instance in INSTANCE_TYPES.values()
            if hardware_problem(demand.engine, instance, demand.dtype, demand.quantize) is None
        ),
        key=lambda instance: instance.gpus * instance.gpu_gib,
    )
