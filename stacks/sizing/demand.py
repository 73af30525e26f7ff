"""Inputs of the memory plan."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.engines.record import EngineRules
from adapters.engines.registry import ENGINES
from stacks.sizing.instances import InstanceType
from stacks.sizing.memory_parts import HALF, SINGLE
from stacks.sizing.model_shape import ModelShape


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Model, hardware and engine settings that a memory plan is made for."""

    shape: ModelShape
    instance: InstanceType
    engine: str
    """Name of an engine."""
    dtype: str | None
    """None: the model's own, in 16 bits; see `number_bytes`."""
    quantize: str | None
    tensor_parallel: int
    """GPUs that share the model."""
    max_input_tokens: int
    max_total_tokens: int
    max_num_seqs: int
    """Sequences that the engine runs at once at most."""
    max_adapter_rank: int
    max_active_adapters: int
    """Adapters in the engine's memory at once; 0: an engine that serves none."""
    max_cpu_adapters: int | None = None
    """Adapters in the host's memory at once; None: as many as `EngineMemory.host_slots` plans."""
    adapter_target_modules: tuple[str, ...] | None
    """None: all linear layers."""
    adapter_memory_fraction: float

    @property
    def rules(self) -> EngineRules:
        """The record of the engine."""
        return ENGINES[self.engine]

    @property
    def number_bytes(self) -> int:
        """Bytes of a number of weights, adapters and KV cache that is not quantized.

        A stage's GPUs compute in 16 bits, also where a model's files have 32; the engine of a CPU in 32.
        """
        return SINGLE if self.dtype == "float32" else HALF
