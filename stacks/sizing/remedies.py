"""What to change where a plan does not fit or is near: each change computed by planning again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from adapters.engines import vllm
from stacks.sizing.gpu_memory import Demand, MemoryPlan, plan_of, tensor_parallel_problem
from stacks.sizing.instances import INSTANCE_TYPES, InstanceType, hardware_problem
from stacks.sizing.memory_parts import GIB

#: What is proposed: the engine makes it itself of weights that are not quantized, also where a GPU has no FP8
#: (vLLM's Marlin kernels).
_QUANTIZE = {"lorax": "bitsandbytes-nf4", "vllm": "fp8_per_tensor"}
#: Lengths are proposed in these steps.
_TOKENS_STEP = 256


def memory_problem(found: MemoryPlan) -> str | None:
    """What is wrong with a plan and what to write instead, in a sentence; None if it fits well."""
    demand = found.demand
    if found.verdict == "fits":
        return None
    remedies = list(_remedies(found))
    write = f"write {'; or '.join(remedies)}" if remedies else "no single change is enough: take several"
    sums = "; ".join(found.arithmetic()[:-1])
    if found.verdict == "does not fit":
        return (
            f"the model needs {found.needed / GIB:.1f} GiB of each GPU of {demand.instance.name}, of which "
            f"{demand.engine} may use {found.available / GIB:.1f} ({sums}): {write}"
        )
    if found.adapters_resident < 1:
        return (
            f"an adapter of rank {demand.max_adapter_rank} on all modules is larger than what "
            f"adapter_memory_fraction keeps ({found.adapters / GIB:.1f} GiB), and LoRAX refuses it: {write}"
        )
    return (
        f"each GPU of {demand.instance.name} has {found.spare / GIB:.1f} GiB to spare, with a KV cache for "
        f"{found.sequences} sequence(s) of max_total_tokens {demand.max_total_tokens} ({sums}): {write}"
    )


def _remedies(found: MemoryPlan) -> Iterator[str]:
    """For each key the least change that is enough alone."""
    demand = found.demand
    wanted = ("fits",) if found.verdict == "near" else ("fits", "near")

    def enough(other: Demand) -> bool:
        other_plan = plan_of(other)
        return other_plan is not None and other_plan.verdict in wanted

    def first(others: Iterable[Demand]) -> Demand | None:
        return next(filter(enough, others), None)

    if demand.engine == "vllm":
        if most := _most_adapters(demand, enough):
            yield f"max_active_adapters: {most}"
        ranks = [rank for rank in reversed(vllm.RANKS) if rank < demand.max_adapter_rank and rank > 1]
        if (other := first(replace(demand, max_adapter_rank=rank) for rank in ranks)) is not None:
            yield f"max_adapter_rank: {other.max_adapter_rank}"
        few = replace(demand, adapter_target_modules=("q_proj", "v_proj"))
        if demand.adapter_target_modules is None and enough(few):
            yield "adapter_target_modules: [q_proj, v_proj]"
    else:
        # Both ways: too small for one adapter, or too large for the rest.
        now = demand.adapter_memory_fraction
        shares = sorted((percent / 100 for percent in range(1, 60)), key=lambda share: abs(share - now))
        if (other := first(replace(demand, adapter_memory_fraction=share) for share in shares)) is not None:
            yield f"adapter_memory_fraction: {other.adapter_memory_fraction:g}"
    longest = (demand.max_total_tokens - 1) // _TOKENS_STEP * _TOKENS_STEP
    lengths = range(longest, demand.max_input_tokens, -_TOKENS_STEP)
    if (other := first(replace(demand, max_total_tokens=length) for length in lengths)) is not None:
        yield f"max_total_tokens: {other.max_total_tokens}"
    quantized = replace(demand, quantize=_QUANTIZE[demand.engine], dtype=None)
    if demand.quantize is None and demand.shape.stored_bytes is None and enough(quantized):
        yield f"quantize: {quantized.quantize}"
    if (other := first(_more_gpus(demand))) is not None:
        yield f"tensor_parallel: {other.tensor_parallel}"
    if (other := first(_larger_instances(demand))) is not None:
        yield f"instance_type: {other.instance.name}"
    elif (other := first(_instances_with_more_gpus(demand))) is not None:
        yield f"instance_type: {other.instance.name} with tensor_parallel: {other.tensor_parallel}"


def _most_adapters(demand: Demand, enough: Callable[[Demand], bool]) -> int:
    """The largest number below the demand's that is enough; 0 if not even one is."""
    low, high = 0, demand.max_active_adapters
    while high - low > 1:
        middle = (low + high) // 2
        if enough(replace(demand, max_active_adapters=middle)):
            low = middle
        else:
            high = middle
    return low


def _more_gpus(demand: Demand) -> Iterator[Demand]:
    for gpus in range(demand.tensor_parallel + 1, demand.instance.gpus + 1):
        if tensor_parallel_problem(demand.shape, demand.instance, demand.engine, gpus) is None:
            yield replace(demand, tensor_parallel=gpus)


def _larger_instances(demand: Demand) -> Iterator[Demand]:
    """With more memory per GPU, the smallest first."""
    for instance in _usable(demand):
        if instance.gpu_gib > demand.instance.gpu_gib and instance.gpus >= demand.tensor_parallel:
            yield replace(demand, instance=instance)


def _instances_with_more_gpus(demand: Demand) -> Iterator[Demand]:
    for instance in _usable(demand):
        yield from _more_gpus(replace(demand, instance=instance))


def _usable(demand: Demand) -> list[InstanceType]:
    """Instances that the engine runs on; by all their GPUs' memory, and in the table's order."""
    return sorted(
        (
            instance
            for instance in INSTANCE_TYPES.values()
            if hardware_problem(demand.engine, instance, demand.dtype, demand.quantize) is None
        ),
        key=lambda instance: instance.gpus * instance.gpu_gib,
    )
