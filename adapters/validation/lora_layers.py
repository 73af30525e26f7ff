"""The layers that an adapter changes, read from the names, dtypes and shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from adapters.errors import InvalidAdapter, InvalidFiles
from adapters.strict_json import shown
from adapters.validation.safetensors import Tensor

#: The names that both engines look for: LoRAX in `adapters/lora.py` (map_weights_for_model), vLLM in
#: `lora/utils.py` (parse_fine_tuned_lora_name), which alone knows those of embeddings. No model has longer or
#: deeper ones, and they parse fast.
_LORA = re.compile(
    r"base_model\.model\.((?:[\w-]+\.){1,24})lora_(?:(embedding)_([AB])|([AB])\.weight)", re.ASCII
)
_MAX_NAME_LENGTH = 256
#: Weights of the base model that PEFT saves with a LoRA of the head or the embeddings, and that both engines
#: skip: LoRAX what it does not know, vLLM these two names (`lora/utils.py`, is_base_embedding_weights).
_COPY = re.compile(
    r"base_model\.model\.((?:[\w-]+\.){0,24}(?:embed_tokens|lm_head))\.base_layer\.weight", re.ASCII
)
#: The dtypes that both engines convert to the one that they compute in.
_DTYPES = ("F32", "F16", "BF16")

#: A part of the names of a module that torch.compile wrapped, which no checkpoint and no engine has.
_COMPILED = "_orig_mod."
_GATHER = "gather the shards of DeepSpeed (ZeRO-3) or FSDP before saving, and save it again"
_SAVE_AGAIN = "save it again, with PEFT's save_pretrained"
_SAVE_AS = "save it as float32, float16 or bfloat16 (F32, F16 or BF16)"

#: Tensors that PEFT saves and that the engines skip or fail on, by a part of their name.
_KNOWN_OTHERS = (
    ("lora_magnitude_vector", "it is DoRA's", "train without use_dora"),
    ("lora_B.bias", "it is a bias of LoRA's", "train without lora_bias"),
    ("trainable_tokens", "it changes single tokens", "train without trainable_token_indices"),
    (".base_layer.", "it is a weight of the base model", "save with save_embedding_layers=False"),
    ("embed_tokens.", "it is a weight of the base model", "save with save_embedding_layers=False"),
    ("lm_head.weight", "it is a weight of the base model", "save with save_embedding_layers=False"),
    (_COMPILED, "torch.compile wrapped that module", "save the module inside of it, model._orig_mod"),
    (".default.weight", "its name has the adapter's name in it", "save with PEFT's save_pretrained"),
    (".bias", "it is a bias", "train with bias: none"),
)


@dataclass(frozen=True)
class LoraLayer:
    """The two matrices for one layer of the base model: A of [rank, inputs], B of [outputs, rank]."""

    rank: int
    inputs: int
    """For embeddings the number of tokens."""
    outputs: int
    embeds: bool = False
    """True for embeddings, of which the base model stores a row for each input, not for each output."""
    copied: tuple[int, ...] | None = None
    """Shape of the base model's own weights, where the adapter's file has them, too."""


def read_layers(name: str, tensors: Mapping[str, Tensor]) -> dict[str, LoraLayer]:
    """Return the layers by path in the base model, e.g. `model.layers.0.self_attn.q_proj`.

    Raises `InvalidAdapter` if a tensor is not one of a layer's two matrices, or if one of the two is missing.
    """
    halves: dict[str, dict[str, tuple[int, int]]] = {}
    embeds: dict[str, bool] = {}
    copies: dict[str, tuple[int, ...]] = {}
    for key, tensor in tensors.items():
        match = _LORA.fullmatch(key) if len(key) <= _MAX_NAME_LENGTH else None
        if match is None or _COMPILED in match[1]:
            if (copy := _COPY.fullmatch(key)) is None:
                raise _unexpected(name, key)
            copies[copy[1]] = tensor.shape
            continue
        if tensor.dtype not in _DTYPES:
            raise InvalidFiles(name, f"tensor {shown(key)} is {tensor.dtype}", _SAVE_AS)
        if len(tensor.shape) != 2 or 0 in tensor.shape:
            raise InvalidFiles(
                name,
                f"tensor {shown(key)} has shape {list(tensor.shape)}, not two sides above 0",
                "train linear layers alone, and save with a current PEFT"
                if len(tensor.shape) > 2
                else _GATHER,
            )
        path, half = match[1][:-1], match[3] or match[4]
        if embeds.setdefault(path, bool(match[2])) != bool(match[2]):
            # The engines would take the one or the other of two tensors for one half.
            raise InvalidFiles(
                name,
                f"tensors of {path} have the names of a linear layer's (lora_A.weight) and of embeddings' "
                "(lora_embedding_A)",
                _SAVE_AGAIN,
            )
        halves.setdefault(path, {})[half] = (tensor.shape[0], tensor.shape[1])
    if not halves:
        raise InvalidFiles(name, "its weights file has no tensors", _GATHER)
    for path in sorted(copies.keys() - halves.keys()):
        raise _unexpected(name, f"base_model.model.{path}.base_layer.weight")
    return {
        path: replace(_layer(name, path, half), embeds=embeds[path], copied=copies.get(path))
        for path, half in halves.items()
    }


def _layer(name: str, path: str, half: Mapping[str, tuple[int, int]]) -> LoraLayer:
    if len(half) != 2:
        missing = "B" if "A" in half else "A"
        raise InvalidFiles(name, f"lora_{missing} is missing for {path}", "save the adapter again")
    (rank, inputs), (outputs, rank_of_b) = half["A"], half["B"]
    if rank != rank_of_b:
        raise InvalidFiles(
            name, f"for {path} lora_A has rank {rank}, lora_B {rank_of_b}", "save the adapter again"
        )
    return LoraLayer(rank, inputs, outputs)


def _unexpected(name: str, key: str) -> InvalidAdapter:
    for part, meaning, remedy in _KNOWN_OTHERS:
        if part in key:
            return InvalidFiles(name, f"tensor {shown(key)} cannot be served: {meaning}", remedy)
    return InvalidFiles(
        name,
        f"tensor {shown(key)} cannot be served: it is none of base_model.model.<layer>.lora_A.weight and "
        "lora_B.weight",
        "train linear layers alone, and save with PEFT's save_pretrained",
    )
