"""Stand-ins for what vLLM's CPU build lacks and the tiny models need: torchvision, the kernel for experts."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch
from vllm.model_executor.layers.fused_moe.experts.lora_context import MoELoRAContext
from vllm.model_executor.layers.fused_moe.experts.triton_moe import TritonExperts

_TORCHVISION = (
    "",
    ".io",
    ".transforms",
    ".transforms.functional",
    ".transforms.v2",
    ".transforms.v2.functional",
)


class _Missing(ModuleType):
    """A module whose names are all there and do nothing."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def stand_in_for_torchvision() -> None:
    """Let vLLM import its multimodal models, whose text part alone is used here.

    They import torchvision to read images. It is not installed: see requirements-local.in.
    """
    for name in _TORCHVISION:
        module = _Missing(f"torchvision{name}")
        module.__spec__ = ModuleSpec(module.__name__, None, is_package=True)
        sys.modules[module.__name__] = module


def stand_in_for_the_kernel_of_experts() -> None:
    """Compute experts and their adapters in plain torch.

    vLLM takes Triton's kernel for a mixture of experts whenever adapters are enabled (`oracle/unquantized.py`,
    select_unquantized_moe_backend), and the CPU build has no Triton. The matrices in the slots are those that
    vLLM put there, in the layout of `lora/layers/fused_moe.py`, create_lora_weights.
    """
    TritonExperts.apply = _apply


def _apply(
    self: TritonExperts,
    output: torch.Tensor,
    hidden_states: torch.Tensor,
    w1: torch.Tensor,
    w2: torch.Tensor,
    topk_weights: torch.Tensor,
    topk_ids: torch.Tensor,
    *_: Any,
    **__: Any,
) -> None:
    slots = self._lora_context
    for token, hidden in enumerate(hidden_states):
        total = torch.zeros_like(hidden)
        for expert, weight in zip(topk_ids[token].tolist(), topk_weights[token], strict=True):
            pair = w1[expert] @ hidden
            if slots is not None:
                pair = pair + _delta(
                    slots, slots.w13_lora_a_stacked, slots.w13_lora_b_stacked, token, expert, hidden
                )
            gate, up = pair.chunk(2)
            inner = torch.nn.functional.silu(gate) * up
            out = w2[expert] @ inner
            if slots is not None:
                out = out + _delta(
                    slots, slots.w2_lora_a_stacked, slots.w2_lora_b_stacked, token, expert, inner
                )
            total += weight * out
        output[token] = total


def _delta(
    slots: MoELoRAContext,
    first: tuple[torch.Tensor, ...],
    second: tuple[torch.Tensor, ...],
    token: int,
    expert: int,
    inputs: torch.Tensor,
) -> torch.Tensor | float:
    mapping = slots.punica_wrapper.token_lora_indices
    slot = int(mapping[token]) if token < len(mapping) else -1
    if slot < 0:
        return 0.0
    return torch.cat(
        [b[slot, expert] @ (a[slot, expert] @ inputs) for a, b in zip(first, second, strict=True)]
    )
