"""One decode step of a decoder: every matrix product and the attention, with random weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from benchmarks.gpu.lora_kernels import LoraKernels
from benchmarks.gpu.lora_slots import LayerSlots
from benchmarks.gpu.packed_layers import packed_layers
from stacks.sizing.model_shape import ModelShape


class DecodeStep:
    """Weights and KV cache of a model; `run` computes the next token of each sequence.

    Left out: embeddings, rotary positions and sampling, which are small and the same with and without LoRA.
    """

    def __init__(
        self, shape: ModelShape, *, sequences: int, context: int, device: str, dtype: torch.dtype
    ) -> None:
        """Allocate weights, and a KV cache of `context` tokens for each sequence."""

        def filled(*size: int) -> torch.Tensor:
            return torch.empty(size, device=device, dtype=dtype).normal_(std=0.02)

        self._shape = shape
        self._weights = [
            [filled(sum(layer.slices), layer.inputs) for layer in packed_layers(shape)]
            for _ in range(shape.layers)
        ]
        size = (sequences, shape.kv_heads, context, shape.head_dim)
        self._cache = [(filled(*size), filled(*size)) for _ in range(shape.layers)]
        self._head = filled(shape.vocab_size, shape.hidden_size)
        self.inputs = filled(sequences, shape.hidden_size)

    def run(
        self, slots: Sequence[Sequence[LayerSlots]] = (), kernels: LoraKernels | None = None
    ) -> torch.Tensor:
        """Return the logits of each sequence's next token, with the adapters of `slots` or without."""
        shape, x = self._shape, self.inputs

        def linear(layer: int, part: int, inputs: torch.Tensor) -> torch.Tensor:
            outputs = functional.linear(inputs, self._weights[layer][part])
            if kernels is not None:
                kernels.add(inputs, outputs, slots[layer][part])
            return outputs

        query, key = shape.attention_heads * shape.head_dim, shape.kv_heads * shape.head_dim
        for layer, (keys, values) in enumerate(self._cache):
            qkv = linear(layer, 0, functional.rms_norm(x, x.shape[-1:]))
            # The new key and value replace the last ones: a cache that grows would be copied.
            keys[:, :, -1] = qkv[:, query : query + key].view(-1, shape.kv_heads, shape.head_dim)
            values[:, :, -1] = qkv[:, query + key :].view(-1, shape.kv_heads, shape.head_dim)
            heads = qkv[:, :query].reshape(-1, shape.attention_heads, 1, shape.head_dim)
            attended = functional.scaled_dot_product_attention(heads, keys, values, enable_gqa=True)
            x = x + linear(layer, 1, attended.reshape(len(x), query))
            gate, up = linear(layer, 2, functional.rms_norm(x, x.shape[-1:])).chunk(2, dim=-1)
            x = x + linear(layer, 3, functional.silu(gate) * up)
        return functional.linear(functional.rms_norm(x, x.shape[-1:]), self._head)
