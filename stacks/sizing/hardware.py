"""Compatibility of an engine with an instance type's GPUs."""

from __future__ import annotations

from adapters.engines.registry import ENGINES
from stacks.sizing.engines.memory import EngineMemory
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.instances import InstanceType

_BFLOAT16 = (8, 0)


def hardware_problem(
    engine: str, instance: InstanceType, dtype: str | None, quantize: str | None
) -> str | None:
    """Return what the instance's GPUs cannot do for an engine, in a sentence; None if nothing."""
    title, memory, capability = ENGINES[engine].title, MEMORY[engine], instance.compute_capability
    gpu = f"the {instance.gpu} of {instance.name}"
    oldest, newer, native = memory.oldest_gpu, memory.newer_gpus, memory.native_only.get(quantize or "")
    if oldest is not None and capability < oldest.capability:
        return f"{title} does not run on {gpu}: take {oldest.take}"
    if newer is not None and capability >= newer.capability:
        others = "".join(
            f", or engine.name: {name}" for name, other in MEMORY.items() if _runs(other, instance)
        )
        cuda = ".".join(map(str, memory.cuda))
        return f"{title}'s kernels (CUDA {cuda}) do not run on {gpu}: take {newer.take}{others}"
    if dtype == "bfloat16" and capability < _BFLOAT16:
        return f"{gpu} has no bfloat16: write dtype: float16"
    if native is not None and capability < native.capability:
        return f"{gpu} has no FP8: take {native.take} for {quantize}"
    return None


def _runs(memory: EngineMemory, instance: InstanceType) -> bool:
    oldest, newer, capability = memory.oldest_gpu, memory.newer_gpus, instance.compute_capability
    return (oldest is None or capability >= oldest.capability) and (
        newer is None or capability < newer.capability
    )
