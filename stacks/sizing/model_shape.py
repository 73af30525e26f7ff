"""Shape of a base model, read from a local model's files; see `known_models` for others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.errors import InvalidAdapter
from adapters.files import LocalFile
from adapters.strict_json import NotAnObject, parse_object
from adapters.validation.safetensors import read_header

#: Decoders with grouped attention and one gated MLP, or several of which a token takes some (Mixtral). The
#: arithmetic of memory is right for these.
ARCHITECTURES = (
    "Gemma2ForCausalLM",
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "MixtralForCausalLM",
    "Phi3ForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
)


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """The properties of a base model that its memory depends on."""

    architecture: str
    """The first of `architectures` in its config.json; one of `ARCHITECTURES`."""
    parameters: int
    """All numbers in its weights; tied embeddings count once. 0 where the weights are packed."""
    layers: int
    hidden_size: int
    intermediate_size: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    dtype: str
    """Type of the weights in memory by default; the engines take float32 as 16 bits."""
    tied_embeddings: bool = False
    """True if the head shares the weights of the embeddings."""
    experts: int = 1
    """MLPs per layer."""
    stored_bytes: int | None = None
    """Size of the stored tensors, for a model whose files are quantized."""

    @property
    def embedding_parameters(self) -> int:
        """Numbers in embeddings and head, which no quantization packs."""
        return self.vocab_size * self.hidden_size * (1 if self.tied_embeddings else 2)


def shape_of_local_model(directory: Path) -> ModelShape | None:
    """The shape of a model in a directory: config.json and the headers of its safetensors files.

    None if its architecture is not one of `ARCHITECTURES`, or if a file or key is missing or damaged.
    """
    try:
        config = parse_object((directory / "config.json").read_bytes())
        tensors = {
            name: tensor
            for path in sorted(directory.glob("model*.safetensors"))
            for name, tensor in read_header(directory.name, LocalFile(path)).items()
        }
    except (OSError, NotAnObject, InvalidAdapter):
        return None
    architecture = config.get("architectures")
    if not tensors or not isinstance(architecture, list) or architecture[:1] == []:
        return None
    heads, hidden = _size(config, "num_attention_heads"), _size(config, "hidden_size")
    if architecture[0] not in ARCHITECTURES or not heads or not hidden:
        return None
    packed = "quantization_config" in config
    shape = ModelShape(
        architecture=architecture[0],
        parameters=0 if packed else sum(math.prod(tensor.shape) for tensor in tensors.values()),
        layers=_size(config, "num_hidden_layers"),
        hidden_size=hidden,
        intermediate_size=_size(config, "intermediate_size"),
        attention_heads=heads,
        # transformers' own defaults for what older files leave out.
        kv_heads=_size(config, "num_key_value_heads") or heads,
        head_dim=_size(config, "head_dim") or hidden // heads,
        vocab_size=_size(config, "vocab_size"),
        dtype="bfloat16" if "bfloat16" in (config.get("dtype"), config.get("torch_dtype")) else "float16",
        # Not from the config, which leaves out the architecture's default.
        tied_embeddings="lm_head.weight" not in tensors,
        experts=_size(config, "num_local_experts") or 1,
        stored_bytes=sum(tensor.end - tensor.start for tensor in tensors.values()) if packed else None,
    )
    complete = shape.layers and shape.intermediate_size and shape.vocab_size
    return shape if complete else None


def _size(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    return value if type(value) is int and value > 0 else 0
