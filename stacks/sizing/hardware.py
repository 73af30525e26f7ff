"""Compatibility of an engine with an instance type's GPUs."""

from __future__ import annotations

from adapters.engines.registry import ENGINES
from stacks.sizing.engines.memory import EngineMemory
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.instances import INSTANCE_TYPES, InstanceType
from stacks.wording import any_of

_BFLOAT16 = (8, 0)


def hardware_problem(
    engine: str, instance: InstanceType, dtype: str | None, quantize: str | None
) -> str | None:
    """Return what the instance's GPUs cannot do for an engine, in a sentence; None if nothing."""
    title, memory, capability = ENGINES[engine].title, MEMORY[engine], instance.compute_capability
    gpu = f"the {instance.gpu} of {instance.name}"
    oldest, newer, native = memory.oldest_gpu, memory.newer_gpus, memory.native_only.get(quantize or "")
    if oldest is not None and capability < oldest:
        return f"{title} does not run on {gpu}: take {_families(memory)}"
    if newer is not None and capability >= newer:
        others = "".join(
            f", or engine.name: {name}" for name, other in MEMORY.items() if _runs(other, instance)
        )
        cuda = ".".join(map(str, memory.cuda))
        return f"{title}'s kernels (CUDA {cuda}) do not run on {gpu}: take {_families(memory)}{others}"
    if dtype == "bfloat16" and capability < _BFLOAT16:
        return f"{gpu} has no bfloat16: write engine.dtype: float16"
    if native is not None and capability < native:
        return f"{gpu} has no FP8: take {_families(memory, native)} for {quantize}"
    return None


def _families(memory: EngineMemory, least: tuple[int, int] = (0, 0)) -> str:
    """Return the families of instances that an engine runs on, with GPUs of at least this capability."""
    names = dict.fromkeys(
        name.rpartition(".")[0]
        for name, instance in INSTANCE_TYPES.items()
        if _runs(memory, instance) and instance.compute_capability >= least
    )
    return any_of(list(names))


def _runs(memory: EngineMemory, instance: InstanceType) -> bool:
    oldest, newer, capability = memory.oldest_gpu, memory.newer_gpus, instance.compute_capability
    return (oldest is None or capability >= oldest) and (newer is None or capability < newer)
