"""Bytes of weights and KV cache on a GPU, the same for every engine; see `gpu_memory` for the sum."""

from __future__ import annotations

from adapters.engines.registry import ENGINES
from stacks.sizing.model_shape import ModelShape

GIB = 2**30
#: Bytes of a float16 and of a bfloat16.
HALF = 2


def weight_bytes(shape: ModelShape, engine: str, quantize: str | None) -> int | None:
    """Compute the size of the model's weights in memory; None for a quantization whose size is not known.

    Embeddings and head stay in 16 bits under every quantization.
    """
    if shape.stored_bytes is not None:
        return shape.stored_bytes
    if quantize is None:
        return shape.parameters * HALF
    bits = ENGINES[engine].quantizations.get(quantize)
    if bits is None:
        return None
    linear = shape.parameters - shape.embedding_parameters
    return round(linear * bits / 8) + shape.embedding_parameters * HALF


def kv_heads_per_gpu(shape: ModelShape, tensor_parallel: int) -> int:
    """Return the KV heads of one GPU; where there are fewer heads than GPUs, each GPU has one."""
    return max(1, shape.kv_heads // tensor_parallel)


def kv_bytes_per_token(shape: ModelShape, tensor_parallel: int, *, halved: bool) -> int:
    """Compute the size of one token's keys and values on one GPU; `halved`: in 8 bits instead of 16."""
    numbers = 2 * shape.layers * kv_heads_per_gpu(shape, tensor_parallel) * shape.head_dim
    return numbers * (1 if halved else HALF)
