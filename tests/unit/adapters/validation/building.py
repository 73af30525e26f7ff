"""Adapters made up for tests: config and weights as bytes, of a base model with two layers."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from adapters.validation.base_model import BaseModelFacts

CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "r": 8,
    "lora_alpha": 16,
    "base_model_name_or_path": "tiny-mistral",
    "target_modules": ["v_proj", "q_proj"],
    "bias": "none",
    "init_lora_weights": True,
    "rank_pattern": {},
    "alpha_pattern": {},
    "modules_to_save": None,
    "use_dora": False,
    "megatron_core": "megatron.core",
}
ATTENTION = "model.layers.{}.self_attn.{}"
#: (out, in) of the modules of `BASE`, whose v_proj is smaller than its q_proj.
SIZES = {"q_proj": (32, 32), "v_proj": (16, 32), "o_proj": (32, 32)}
BASE = BaseModelFacts(
    "MistralForCausalLM",
    {ATTENTION.format(layer, module): sizes for layer in range(2) for module, sizes in SIZES.items()}
    | {"lm_head": (64, 32)},
)

Shapes = Mapping[str, tuple[int, ...]]


class RecordingFile:
    """A `ReadableFile` that counts the bytes read of it."""

    def __init__(self, content: bytes, size: int | None = None) -> None:
        self.content = content
        self.size = len(content) if size is None else size
        self.reads: list[int] = []

    def read(self, start: int, length: int) -> bytes:
        self.reads.append(length)
        return self.content[start : start + length]


def safetensors(header: Any, data: int | bytes = 0) -> bytes:
    """A safetensors file with this header, already bytes or to become JSON, and zeros or bytes behind it."""
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + (bytes(data) if isinstance(data, int) else data)


def tensors(shapes: Shapes, dtype: str = "F32", width: int = 4) -> bytes:
    """A whole file with tensors of these shapes, one after the other."""
    header, position = {}, 0
    for name, shape in shapes.items():
        size = width
        for side in shape:
            size *= side
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, position + size]}
        position += size
    return safetensors(header, position)


def pair(path: str, rank: int, sizes: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """The shapes of one layer's two tensors."""
    return {
        f"base_model.model.{path}.lora_A.weight": (rank, sizes[1]),
        f"base_model.model.{path}.lora_B.weight": (sizes[0], rank),
    }


def shapes(
    rank: int = 8, modules: Iterable[str] = ("q_proj", "v_proj"), layers: Iterable[int] = range(2)
) -> dict[str, tuple[int, ...]]:
    """The shapes of an adapter for these modules in these layers."""
    found: dict[str, tuple[int, ...]] = {}
    for layer in layers:
        for module in modules:
            found |= pair(ATTENTION.format(layer, module), rank, SIZES[module])
    return found
