"""vLLM's operations of adapters on a CPU, without those of an adapter for the base model's tokens.

In vLLM 0.32.0 a token of the base model has the slot -1. The kernels for GPUs leave such tokens out. The
operations for CPUs (`vllm/lora/ops/torch_ops/lora_ops.py`) take it as an index, that of the last slot: once
all slots are used, a request for the base model that shares a step with requests for adapters gets the answer
of the adapter in the last slot. `tests/unit/container/vllm/test_cpu_kernels.py` shows both.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU


class CpuKernels(PunicaWrapperCPU):
    """The same operations; tokens of the base model have zeros in the place of their inputs."""

    def _apply_expand(self, y: torch.Tensor, x: torch.Tensor, *arguments: Any, **more: Any) -> None:
        super()._apply_expand(y, _of_adapters(x, self.token_lora_indices), *arguments, **more)

    def add_lora_embedding(self, y: torch.Tensor, x: torch.Tensor, *arguments: Any, **more: Any) -> None:
        """See vLLM's method."""
        super().add_lora_embedding(y, _of_adapters(x, self.token_lora_indices), *arguments, **more)

    def add_lora_logits(self, y: torch.Tensor, x: torch.Tensor, *arguments: Any, **more: Any) -> None:
        """See vLLM's method."""
        rows = x.view(-1, x.shape[-1])
        super().add_lora_logits(y, _of_adapters(rows, self.sampler_indices), *arguments, **more)


def use_in(manager: Any) -> None:
    """Have a model's manager of adapters use them; its layers share the objects, whose state is the same."""
    for operations in manager.punica_wrapper_mapping.values():
        operations.__class__ = CpuKernels


def _of_adapters(x: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    return x * (slots >= 0).unsqueeze(1)
