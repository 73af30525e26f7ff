"""How many bytes of a GPU each part of serving a model takes; see `gpu_memory` for the sum."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from adapters.engines import lorax, vllm
from stacks.sizing.model_shape import ModelShape

GIB = 2**30
#: float16 and bfloat16.
HALF = 2

#: Bits per weight of a linear layer, by engine and quantization, where the size is known.
QUANTIZED_BITS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "lorax": lorax.QUANTIZATIONS,
        "vllm": {name: bits for name, bits in vllm.QUANTIZATIONS.items() if bits is not None},
    }
)

#: Architectures for which vLLM 0.32.0 has slots for embeddings and head, too (`embedding_modules`).
_EMBEDDING_SLOTS = frozenset(
    {"LlamaForCausalLM", "MixtralForCausalLM", "Phi3ForCausalLM", "Qwen3ForCausalLM"}
)
_QKV = frozenset({"q_proj", "k_proj", "v_proj", "qkv_proj"})
_GATE_UP = frozenset({"gate_proj", "up_proj", "gate_up_proj"})
_EXPERTS = frozenset({"experts", "w1", "w2", "w3"})


def weight_bytes(shape: ModelShape, engine: str, quantize: str | None) -> int | None:
    """The whole model's weights in memory; None for a quantization whose size is not known.

    Embeddings and head stay in 16 bits under every quantization.
    """
    if shape.stored_bytes is not None:
        return shape.stored_bytes
    if quantize is None:
        return shape.parameters * HALF
    bits = QUANTIZED_BITS[engine].get(quantize)
    if bits is None:
        return None
    linear = shape.parameters - shape.embedding_parameters
    return round(linear * bits / 8) + shape.embedding_parameters * HALF


def kv_heads_per_gpu(shape: ModelShape, tensor_parallel: int) -> int:
    """KV heads of one GPU; where there are fewer heads than GPUs, each GPU has one."""
    return max(1, shape.kv_heads // tensor_parallel)


def kv_bytes_per_token(shape: ModelShape, quantize: str | None, tensor_parallel: int) -> int:
    """Keys and values of one token on one GPU."""
    numbers = 2 * shape.layers * kv_heads_per_gpu(shape, tensor_parallel) * shape.head_dim
    return numbers * (1 if quantize == "fp8-kv" else HALF)


def slot_bytes(
    shape: ModelShape, rank: int, modules: Collection[str] | None, tensor_parallel: int = 1
) -> int:
    """One of vLLM's adapter slots on one GPU, for adapters of up to `rank` on `modules` (None: on all).

    As vLLM 0.32.0 allocates: an A and a B of the full rank for each layer; of layers that vLLM packs into
    one (q, k, v; gate, up) for all where `modules` names one. Where a layer is split by output only B is
    shared out among the GPUs, where it is split by input only A; embeddings and head are on each GPU.
    """
    q, kv = shape.attention_heads * shape.head_dim, kv_heads_per_gpu(shape, tensor_parallel) * shape.head_dim
    hidden, gpus = shape.hidden_size, tensor_parallel
    intermediate = shape.intermediate_size // gpus
    # Phi-3's files hold these layers packed, and an adapter has one A for them.
    split = shape.architecture != "Phi3ForCausalLM"

    def wanted(names: frozenset[str]) -> bool:
        return modules is None or not names.isdisjoint(modules)

    layer = 0
    if wanted(_QKV):
        layer += (3 if split else 1) * hidden + q // gpus + 2 * kv
    if wanted(frozenset({"o_proj"})):
        layer += q // gpus + hidden
    if shape.experts > 1:
        if wanted(_EXPERTS):
            layer += shape.experts * (3 * hidden + 3 * intermediate)
        if wanted(frozenset({"gate"})):
            layer += hidden + shape.experts
    else:
        if wanted(_GATE_UP):
            layer += (2 if split else 1) * hidden + 2 * intermediate
        if wanted(frozenset({"down_proj"})):
            layer += intermediate + hidden
    ends = ("embed_tokens", "lm_head")
    if modules is None:
        count = len(ends) if shape.architecture in _EMBEDDING_SLOTS else 0
    else:
        count = sum(name in modules for name in ends)
    return rank * HALF * (shape.layers * layer + count * (shape.vocab_size + hidden))


def adapter_bytes(shape: ModelShape, rank: int, modules: Collection[str] | None) -> int:
    """The file of an adapter of this rank in 16 bits, on `modules` or on all linear layers, of all GPUs.

    LoRAX counts its bytes against the memory that it keeps for adapters.
    """
    q, kv = shape.attention_heads * shape.head_dim, shape.kv_heads * shape.head_dim
    hidden, intermediate = shape.hidden_size, shape.intermediate_size
    sides = {
        "q_proj": hidden + q,
        "k_proj": hidden + kv,
        "v_proj": hidden + kv,
        "o_proj": q + hidden,
        "gate_proj": (hidden + intermediate) * shape.experts,
        "up_proj": (hidden + intermediate) * shape.experts,
        "down_proj": (intermediate + hidden) * shape.experts,
    }
    numbers = sum(size for name, size in sides.items() if modules is None or name in modules)
    return rank * HALF * shape.layers * numbers
