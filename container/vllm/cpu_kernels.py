"""Products of tokens with their adapters' weights on a CPU, in the place of vLLM's.

vLLM 0.32.0's operations for CPUs (`vllm/lora/ops/torch_ops/lora_ops.py`) have two faults that the kernels for
GPUs do not have:

- Each token copies its adapter's weights: a prompt of 12 tokens with an adapter of 1 MB in a layer copies
  12 MB.
- A token of the base model has the slot -1. They take it as an index, that of the last slot: once all slots
  are used, a request for the base model that shares a step with requests for adapters gets the answer of the
  adapter in the last slot.

`tests/unit/container/vllm/test_cpu_kernels.py` compares both.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from numba import njit  # type: ignore[import-untyped]
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU


class CpuKernels(PunicaWrapperCPU):
    """vLLM's operations with the products of this module."""

    def update_metadata(self, *arguments: Any, **more: Any) -> None:
        """Prepare a step; see vLLM's method, which sets `no_lora` at some steps only."""
        super().update_metadata(*arguments, **more)
        self.no_lora = bool((self.token_lora_indices < 0).all())

    def add_lora_linear(self, *arguments: Any, **more: Any) -> None:
        """See vLLM's method. A step of the base model alone costs nothing."""
        if not self.no_lora:
            super().add_lora_linear(*arguments, **more)

    def _apply_shrink(self, y: torch.Tensor, x: torch.Tensor, w_t_all: torch.Tensor, scale: float) -> None:
        add_products(y, x, w_t_all, self.token_lora_indices, scale)

    def _apply_expand(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        w_t_all: torch.Tensor,
        y_offset: int,
        y_slice_size: int,
        add_inputs: bool = True,
    ) -> None:
        add_products(y[:, y_offset : y_offset + y_slice_size], x, w_t_all, self.token_lora_indices, 1.0)

    def add_lora_embedding(
        self, y: torch.Tensor, x: torch.Tensor, lora_b_stacked: torch.Tensor, *_: Any, **more: Any
    ) -> None:
        """See vLLM's method."""
        add_products(y, x, lora_b_stacked, self.token_lora_indices, 1.0)

    def add_lora_logits(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: torch.Tensor,
        lora_b_stacked: torch.Tensor,
        scale: float,
        **_: Any,
    ) -> None:
        """See vLLM's method. Rows are the tokens whose next one is sampled."""
        x, y = x.view(-1, x.shape[-1]), y.view(-1, y.shape[-1])
        low = torch.zeros((len(x), lora_b_stacked.shape[-1]), dtype=torch.float32)
        add_products(low, x, lora_a_stacked, self.sampler_indices, scale)
        add_products(y, low, lora_b_stacked, self.sampler_indices, 1.0)


def use_in(manager: Any) -> None:
    """Have a model's manager of adapters use them; its layers share the objects, whose state is the same."""
    for operations in manager.punica_wrapper_mapping.values():
        operations.__class__ = CpuKernels


def add_products(
    y: torch.Tensor, x: torch.Tensor, weights: torch.Tensor, slots: torch.Tensor, scale: float
) -> None:
    """Add `scale * x @ weights[slot, 0].T` to `y`, for each token with a slot of its adapter; -1: none.

    Shapes: `y` tokens × outputs, `x` tokens × inputs, `weights` slots × 1 × outputs × inputs, `slots` tokens.
    The products are of float32. `y` may have more outputs than the weights, or fewer: vLLM pads both.
    """
    weights = weights.flatten(0, -3)
    if weights.dtype != torch.float32:
        # Numba has no bfloat16.
        used, positions = slots.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        weights, slots = weights[used.clamp(min=0)].float(), torch.where(slots < 0, slots, positions)
    sums = y if y.dtype == torch.float32 else torch.zeros(y.shape, dtype=torch.float32)
    inputs = x.float().contiguous()
    _add_products(sums.numpy(), inputs.numpy(), weights.contiguous().numpy(), slots.numpy(), scale)
    if sums is not y:
        y += sums


# Of `y` an operation changes a slice, which is not contiguous. The flags allow SIMD instructions, and leave
# NaN and infinity alone. To compile it takes 1.5 s.
@njit(  # type: ignore[untyped-decorator]
    "void(float32[:, :], float32[:, ::1], float32[:, :, ::1], int64[::1], float64)",
    fastmath={"reassoc", "contract"},
    cache="NUMBA_CACHE_DIR" in os.environ,
)
def _add_products(y: Any, x: Any, weights: Any, slots: Any, scale: float) -> None:
    outputs = min(y.shape[1], weights.shape[1])
    for token in range(min(len(slots), len(y))):
        slot = slots[token]
        if slot >= 0:
            for output in range(outputs):
                total = x[token, 0] * weights[slot, output, 0]
                for each in range(1, weights.shape[2]):
                    total += x[token, each] * weights[slot, output, each]
                y[token, output] += scale * total
