"""Bytes of weights, KV cache and adapters, the same for every engine; see `gpu_memory` for the sum."""

from __future__ import annotations

from collections.abc import Collection

from adapters.engines.registry import ENGINES
from stacks.sizing.model_shape import ModelShape

GIB = 2**30
#: Bytes of a float16 and of a bfloat16.
HALF = 2
#: Bytes of a float32, which the engine of a CPU computes in.
SINGLE = 4


def weight_bytes(shape: ModelShape, engine: str, quantize: str | None, number: int = HALF) -> int | None:
    """Compute the size of the model's weights in memory; None for a quantization whose size is not known.

    `number`: bytes of a number that is not quantized: embeddings and head are not, under any quantization.
    """
    if shape.stored_bytes is not None:
        return shape.stored_bytes
    if quantize is None:
        return shape.parameters * number
    bits = ENGINES[engine].quantizations.get(quantize)
    if bits is None:
        return None
    linear = shape.parameters - shape.embedding_parameters
    return round(linear * bits / 8) + shape.embedding_parameters * number


def kv_heads_per_gpu(shape: ModelShape, tensor_parallel: int) -> int:
    """Return the KV heads of one GPU; where there are fewer heads than GPUs, each GPU has one."""
    return max(1, shape.kv_heads // tensor_parallel)


def kv_bytes_per_token(shape: ModelShape, tensor_parallel: int, number: int) -> int:
    """Compute the size of one token's keys and values on one GPU; `number`: bytes of each number."""
    return 2 * shape.layers * kv_heads_per_gpu(shape, tensor_parallel) * shape.head_dim * number


def adapter_bytes(shape: ModelShape, rank: int, modules: Collection[str] | None, number: int = HALF) -> int:
    """Compute the size of an adapter of this rank, on `modules` or on all linear layers.

    `number`: bytes of each of its numbers; an adapter's file in 16 bits has the size for `HALF`.
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
    return rank * number * shape.layers * numbers
