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
    logit_bytes: float
    """Bytes per logit, all copies together."""


@dataclass(frozen=True, kw_only=True)
class LogLines:
    """Lines of an engine's log at its start, as regular expressions with one group: the number.

    None: the engine does not log it.
    """

    kv_tokens: str
    """Tokens that the KV cache holds."""
    loaded_gib: str | None
    """GiB of weights and adapters' slots on one GPU."""
    kv_gib: str | None
    """GiB that are left for the KV cache, also where they are too few to start."""
    graphs_gib: str | None
    """GiB that the engine keeps back for CUDA graphs before it sizes the KV cache."""


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
    block_tokens: int
    """Tokens of a block of the KV cache: its size is a whole number of blocks."""
    copies_kv_heads: bool
    """True if GPUs beyond the number of KV heads each have a copy of one."""
    adapter_key: str
    """Key of the stage file that sizes the memory for adapters."""
    quantization: str
    """Quantization to propose: made by the engine itself from weights that are not quantized."""
    log: LogLines
    """Lines of its log with its memory."""

    @abstractmethod
    def adapters(self, demand: Demand) -> AdapterMemory:
        """Compute the memory for adapters on each GPU."""

    @abstractmethod
    def host_slots(self, demand: Demand) -> int:
        """Return the number of adapters in the host's memory at once: the demand's, or a planned one."""

    @abstractmethod
    def host_adapters(self, demand: Demand) -> int:
        """Compute the host's memory for adapters, in bytes, all GPUs' processes together."""

    @abstractmethod
    def graphs(self, demand: Demand) -> tuple[int, int]:
        """Estimate the memory of CUDA graphs on each GPU, in bytes: at least and at most."""

    @abstractmethod
    def largest_step(self, demand: Demand) -> LargestStep:
        """Compute the engine's largest step."""

    @abstractmethod
    def adapter_remedies(self, demand: Demand, enough: Callable[[Demand], bool]) -> Iterator[str]:
        """Yield `key: value` for each adapter setting whose change alone is `enough`: the least change."""
