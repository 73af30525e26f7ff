"""LoRA of a batch whose rows use different adapters: y += B·A·x with the A and B of each row's adapter."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from benchmarks.gpu.lora_slots import LayerSlots


class LoraKernels(Protocol):
    """Kernels for a batch in which `different` adapters have equal numbers of neighbouring rows."""

    name: str

    def launches(self, slices: int) -> int:
        """Return the kernel launches for one packed layer."""

    def add(self, x: torch.Tensor, y: torch.Tensor, slots: LayerSlots) -> None:
        """Add the adapters' part to `y`, in place."""


class TorchKernels:
    """Batched matrix products with an entry per adapter; each adapter is read once, as by Punica's SGMV.

    The first adapters' slots are used, so that no weight is copied.
    """

    name = "torch.bmm"

    def __init__(self, rows: int, different: int) -> None:
        """Take the rows of a batch and the number of different adapters in it, a divisor of `rows`."""
        self._shape = (different, rows // different)

    def launches(self, slices: int) -> int:
        """Return a product with A and one with B for each slice."""
        return 2 * slices

    def add(self, x: torch.Tensor, y: torch.Tensor, slots: LayerSlots) -> None:
        """Add B·A·x to each slice of `y`."""
        different = self._shape[0]
        grouped, results = x.view(*self._shape, -1), y.view(*self._shape, -1)
        start = 0
        for a, b in zip(slots.a, slots.b, strict=True):
            end = start + b.shape[2]
            shrunk = torch.bmm(grouped, a[:different, 0].transpose(1, 2))
            results[..., start:end].baddbmm_(shrunk, b[:different, 0].transpose(1, 2))
            start = end


class VllmKernels:
    """vLLM's Triton kernels, one launch for A and one for B of a packed layer."""

    name = "vllm triton"

    def __init__(self, rows: int, different: int, slots: int, device: str) -> None:
        """Prepare the kernels' indices, as vLLM's PunicaWrapperGPU does before a step."""
        from vllm.lora.ops.triton_ops import (  # noqa: PLC0415 — not on every machine with a GPU
            LoRAKernelMeta,
            lora_expand,
            lora_shrink,
        )

        self._shrink, self._expand = lora_shrink, lora_expand
        meta = LoRAKernelMeta.make(slots, rows, device=device)
        meta.prepare_tensors(torch.arange(rows, device=device, dtype=torch.int32) // (rows // different))
        # vLLM's default: the grid covers all slots, whatever the batch uses.
        self._meta: tuple[Any, ...] = meta.meta_args(rows, specialize_active_lora=False)

    def launches(self, slices: int) -> int:
        """Return one launch for all A and one for all B."""
        return 2

    def add(self, x: torch.Tensor, y: torch.Tensor, slots: LayerSlots) -> None:
        """Add B·A·x to `y`; the product with A is kept in 32 bits, as vLLM does."""
        rank = slots.a[0].shape[2]
        shrunk = torch.zeros((len(slots.a), len(x), rank), device=x.device, dtype=torch.float32)
        self._shrink(x, slots.a, shrunk, *self._meta, 1.0)
        self._expand(shrunk, slots.b, y, *self._meta, offset_start=0, add_inputs=True)


def kernels_for(rows: int, different: int, slots: int, device: str) -> LoraKernels:
    """Return vLLM's kernels on a GPU with vLLM installed, otherwise PyTorch's."""
    if device == "cuda":
        try:
            return VllmKernels(rows, different, slots, device)
        except ImportError:
            pass
    return TorchKernels(rows, different)
