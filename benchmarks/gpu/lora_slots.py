"""LoRA slots, allocated as vLLM allocates them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.gpu.packed_layers import PackedLayer, packed_layers
from stacks.sizing.model_shape import ModelShape


@dataclass(frozen=True)
class LayerSlots:
    """Slots of a packed layer: for each slice A, (slots, 1, rank, inputs), and B, (slots, 1, outputs, rank).

    The shapes of vLLM 0.32.0, vllm/lora/layers/base_linear.py, `create_lora_weights`.
    """

    a: tuple[torch.Tensor, ...]
    b: tuple[torch.Tensor, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in (*self.a, *self.b))


def allocate_slots(
    shape: ModelShape, slots: int, rank: int, *, device: str, dtype: torch.dtype
) -> tuple[tuple[LayerSlots, ...], ...]:
    """Return the slots of each decoder layer's packed layers, with small random numbers."""
    return tuple(
        tuple(_layer_slots(layer, slots, rank, device, dtype) for layer in packed_layers(shape))
        for _ in range(shape.layers)
    )


def _layer_slots(layer: PackedLayer, slots: int, rank: int, device: str, dtype: torch.dtype) -> LayerSlots:
    def filled(*size: int) -> torch.Tensor:
        return torch.empty(size, device=device, dtype=dtype).normal_(std=0.01)

    return LayerSlots(
        a=tuple(filled(slots, 1, rank, layer.inputs) for _ in layer.slices),
        b=tuple(filled(slots, 1, outputs, rank) for outputs in layer.slices),
    )


def allocated_bytes(device: str) -> int | None:
    """Return the bytes allocated by PyTorch on a GPU; None on a CPU, where it does not count them."""
    return torch.cuda.memory_allocated() if device == "cuda" else None
