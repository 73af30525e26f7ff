"""The linear layers of a decoder, packed as vLLM packs them."""

from __future__ import annotations

from dataclasses import dataclass

from stacks.sizing.model_shape import ModelShape


@dataclass(frozen=True)
class PackedLayer:
    """A linear layer that computes several outputs, its slices, from one input."""

    inputs: int
    slices: tuple[int, ...]


def packed_layers(shape: ModelShape) -> tuple[PackedLayer, PackedLayer, PackedLayer, PackedLayer]:
    """Return q/k/v, the attention's output, gate/up and down: one A and one B for each slice."""
    query, key = shape.attention_heads * shape.head_dim, shape.kv_heads * shape.head_dim
    return (
        PackedLayer(shape.hidden_size, (query, key, key)),
        PackedLayer(query, (shape.hidden_size,)),
        PackedLayer(shape.hidden_size, (shape.intermediate_size, shape.intermediate_size)),
        PackedLayer(shape.intermediate_size, (shape.hidden_size,)),
    )
