"""The type of an engine's memory and hardware record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from stacks.sizing.demand import Demand
from stacks.sizing.instances import Cuda

#: A compute capability of GPUs, e.g. (8, 9).
Capability = tuple[int, int]


@dataclass(frozen=True)
class AdapterMemory:
    """Memory for adapters on each GPU."""

    reserved: int
    """Bytes."""
    resident: int
    """Adapters of the largest rank that fit at once."""
    text: str
    """Formula of the size, for the plan's arithmetic."""


@dataclass(frozen=True)
class LargestStep:
    """The engine's largest step, which it runs at its start to measure the memory left."""

    tokens: int
    """Tokens that go through the layers."""
    rows: int
    """Rows of logits."""
    logit_bytes: int
    """Bytes per logit, all copies together."""


@dataclass(frozen=True, kw_only=True)
class EngineMemory(ABC):
    """Memory and hardware of an engine. Neither a field nor a method has a default."""

    cuda: Cuda
    """CUDA of the engine's base image."""
    oldest_gpu: Capability | None
    """The engine does not run below it."""
    newer_gpus: Capability | None
    """The engine's kernels do not run from this capability on."""
    native_only: Mapping[str, Capability]
    """Quantizations that need a GPU of at least this capability."""
    usable_share: float
    """Share of a GPU's memory that the engine uses."""
    kv_share: float
    """Share of the spare memory that becomes KV cache."""
    kv_sequences: int
    """Sequences of full length whose KV cache the engine needs to start."""
    halved_kv: frozenset[str]
    """Quantizations that store the KV cache in 8 bits."""
    captures_graphs: bool
    """True if it captures CUDA graphs, which take memory."""
    copies_kv_heads: bool
    """True if GPUs beyond the number of KV heads each have a copy of one."""
    adapter_key: str
    """Key of the stage file that sizes the memory for adapters."""
    quantization: str
    """Quantization to propose: made by the engine itself from weights that are not quantized."""

    @abstractmethod
    def adapters(self, demand: Demand) -> AdapterMemory:
        """Compute the memory for adapters on each GPU."""

    @abstractmethod
    def largest_step(self, demand: Demand) -> LargestStep:
        """Compute the engine's largest step."""

    @abstractmethod
    def adapter_remedies(self, demand: Demand, enough: Callable[[Demand], bool]) -> Iterator[str]:
        """Yield `key: value` for each adapter setting whose change alone is `enough`: the least change."""
