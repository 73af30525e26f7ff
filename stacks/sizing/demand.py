"""Inputs of the memory plan."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.engines.record import EngineRules
from adapters.engines.registry import ENGINES
from stacks.sizing.instances import InstanceType
from stacks.sizing.model_shape import ModelShape


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Model, hardware and engine settings that a memory plan is made for."""

    shape: ModelShape
    instance: InstanceType
    engine: str
    """Name of an engine."""
    dtype: str | None
    """None: the model's own. Both that exist take two bytes."""
    quantize: str | None
    tensor_parallel: int
    """GPUs that share the model."""
    max_input_tokens: int
    max_total_tokens: int
    max_adapter_rank: int
    max_active_adapters: int
    adapter_target_modules: tuple[str, ...] | None
    """None: all linear layers."""
    adapter_memory_fraction: float

    @property
    def rules(self) -> EngineRules:
        """The record of the engine."""
        return ENGINES[self.engine]
