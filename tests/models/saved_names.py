"""Names of an adapter's tensors other than those that the installed PEFT and transformers save."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

#: Tensors by name. They are torch's; this module does without importing it.
Tensors = dict[str, Any]
Saved = Callable[[Tensors], Tensors]
#: Rank of all adapters here, where no pattern says otherwise.
RANK = 8


def as_saved(tensors: Tensors) -> Tensors:
    """Change nothing."""
    return tensors


def renamed(pattern: str, replacement: str) -> Saved:
    """Make a function that renames tensors as `re.sub` does, the first place in each name."""
    return lambda tensors: {
        re.sub(pattern, replacement, name, count=1): tensor for name, tensor in tensors.items()
    }


def experts_apart(parent: str, gate: str, up: str, down: str) -> Saved:
    """Make a function that gives each expert of a mixture its own matrices, as PEFT did for transformers 4.

    PEFT's matrices for `target_parameters` hold all experts: A one below the other, B side by side, rank by
    rank. gate and up share A, and each has half of B.
    """

    def apart(tensors: Tensors) -> Tensors:
        single: Tensors = {}
        for name, a in tensors.items():
            if not name.endswith("lora_A.weight") or ".experts." not in name:
                if ".experts." not in name:
                    single[name] = a
                continue
            b = tensors[name.replace("lora_A", "lora_B")]
            layer = name.partition(".mlp.experts.")[0] + f".{parent}.experts"
            experts = a.shape[0] // RANK
            for expert in range(experts):
                one_a = a.reshape(experts, RANK, -1)[expert]
                one_b = b.reshape(b.shape[0], RANK, experts)[..., expert]
                pairs = (
                    zip((gate, up), one_b.chunk(2), strict=True) if "base_layer" in name else ((down, one_b),)
                )
                for module, part in pairs:
                    single[f"{layer}.{expert}.{module}.lora_A.weight"] = one_a.clone()
                    single[f"{layer}.{expert}.{module}.lora_B.weight"] = part.clone()
        return single

    return apart
