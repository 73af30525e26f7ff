"""The two measurements: memory of slots, and time of a decode step by the number of different adapters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from benchmarks.gpu.decode_step import DecodeStep
from benchmarks.gpu.lora_kernels import kernels_for
from benchmarks.gpu.lora_slots import allocate_slots, allocated_bytes
from benchmarks.gpu.packed_layers import packed_layers
from benchmarks.gpu.timing import median_ms
from stacks.sizing.engines.vllm import slot_bytes
from stacks.sizing.model_shape import ModelShape

#: Bytes of a number for which `slot_bytes` computes.
_HALF = 2


@dataclass(frozen=True, kw_only=True)
class SlotMemory:
    """Memory of slots; bytes."""

    slots: int
    rank: int
    computed: int
    """By the planner."""
    tensors: int | None
    """Measured: sum of the tensors; None if they do not fit."""
    allocated: int | None
    """Measured: taken from PyTorch's allocator; None on a CPU."""


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """Time of a decode step; milliseconds."""

    different: int
    """Different adapters in the batch; 0 without LoRA."""
    step_ms: float
    lora_ms: float
    """More than without LoRA."""
    ratio: float
    """Step ÷ step without LoRA."""


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """Times of a batch, and the planner's constants fitted to them: lora_ms = launches·δ + different·ε."""

    kernels: str
    sequences: int
    context: int
    rank: int
    slots: int
    launches: int
    """LoRA kernels of a step."""
    steps: list[StepTime]
    launch_us: float
    """δ in microseconds."""
    adapter_ms: float
    """ε in milliseconds."""


def slot_memory(
    shape: ModelShape, slots: Sequence[int], ranks: Sequence[int], *, device: str, dtype: torch.dtype
) -> list[SlotMemory]:
    """Allocate each number of slots at each rank, one after the other."""
    return [_slot_memory(shape, count, rank, device, dtype) for rank in ranks for count in slots]


def _slot_memory(shape: ModelShape, slots: int, rank: int, device: str, dtype: torch.dtype) -> SlotMemory:
    computed = slots * slot_bytes(shape, rank, None) * dtype.itemsize // _HALF
    before = allocated_bytes(device)
    tensors = allocated = None
    try:
        layers = allocate_slots(shape, slots, rank, device=device, dtype=dtype)
        tensors = sum(part.nbytes for layer in layers for part in layer)
        if before is not None:
            allocated = (allocated_bytes(device) or 0) - before
        del layers
    except torch.OutOfMemoryError:
        pass
    if device == "cuda":
        torch.cuda.empty_cache()
    return SlotMemory(slots=slots, rank=rank, computed=computed, tensors=tensors, allocated=allocated)


def step_times(
    step: DecodeStep,
    shape: ModelShape,
    different: Sequence[int],
    *,
    context: int,
    rank: int,
    device: str,
    rounds: int,
    repeats: int,
) -> StepTimes:
    """Measure a step without LoRA and with each number of different adapters, with slots for the largest.

    Args:
        step: weights, KV cache and inputs; every number in `different` divides its sequences.
        shape: the model.
        different: numbers of different adapters in the batch.
        context: tokens of each sequence in the KV cache, for the result.
        rank: of all adapters.
        device: `cuda` or `cpu`.
        rounds: times that the cases alternate.
        repeats: steps of a case in a row.
    """
    sequences, most = len(step.inputs), max(different)
    slots = allocate_slots(shape, most, rank, device=device, dtype=step.inputs.dtype)
    kernels = {count: kernels_for(sequences, count, most, device) for count in different}
    cases: dict[str, Callable[[], object]] = {"0": step.run}
    cases |= {str(count): partial(step.run, slots, kernels[count]) for count in different}
    times = median_ms(cases, device=device, rounds=rounds, repeats=repeats)
    base = times["0"]
    steps = [
        StepTime(different=int(count), step_ms=ms, lora_ms=ms - base, ratio=ms / base)
        for count, ms in times.items()
    ]
    launches = shape.layers * sum(kernels[most].launches(len(layer.slices)) for layer in packed_layers(shape))
    fixed, per_adapter = fitted_line([(s.different, s.lora_ms) for s in steps if s.different])
    return StepTimes(
        kernels=kernels[most].name,
        sequences=sequences,
        context=context,
        rank=rank,
        slots=most,
        launches=launches,
        steps=steps,
        launch_us=fixed * 1000 / launches,
        adapter_ms=per_adapter,
    )


def fitted_line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return intercept and slope of the least squares line through points with at least two different x."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return mean_y - slope * mean_x, slope
