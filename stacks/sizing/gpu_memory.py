"""Memory plan of a GPU: model, adapters and a few requests, computed without a GPU.

The engines' records (`stacks.sizing.engines`) are read in their code. Memory beside weights, adapters and KV
cache is estimated, and not measured on these GPUs: see `_overhead` and `_activations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stacks.sizing.demand import Demand
from stacks.sizing.engines.memory import AdapterMemory, EngineMemory
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.instances import InstanceType
from stacks.sizing.memory_parts import GIB, HALF, kv_bytes_per_token, weight_bytes
from stacks.sizing.model_shape import ModelShape
from stacks.wording import any_of

Verdict = Literal["fits", "near", "does not fit"]

#: Below either a plan is "near". With fewer than four requests of full length at once, batching has little
#: effect. The estimates may be wrong by about 1 GiB of 22.
FEW_SEQUENCES = 4
SMALL_MARGIN = 0.05


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """A memory plan: bytes on each of the GPUs that share the model."""

    demand: Demand
    available: int
    """Memory that the engine may use: `EngineMemory.usable_share` of all."""
    weights: int
    overhead: int
    """CUDA context, kernels, buffers between GPUs, CUDA graphs."""
    activations: int
    """The engine's largest step, see `LargestStep`."""
    adapters: AdapterMemory
    kv_minimum: int
    """KV cache without which the engine does not start: `EngineMemory.kv_sequences` of full length."""
    kv_per_token: int

    @property
    def engine(self) -> EngineMemory:
        """The engine's memory record."""
        return MEMORY[self.demand.engine]

    @property
    def needed(self) -> int:
        """The sum of all parts, with the least KV cache."""
        return self.weights + self.overhead + self.activations + self.adapters.reserved + self.kv_minimum

    @property
    def spare(self) -> int:
        """The rest for more KV cache; negative if the plan does not fit."""
        return self.available - self.needed

    @property
    def kv_tokens(self) -> int:
        """Tokens that the KV cache holds."""
        share = self.engine.kv_share
        return 0 if self.spare < 0 else int((self.kv_minimum + share * self.spare) // self.kv_per_token)

    @property
    def sequences(self) -> int:
        """Sequences of `max_total_tokens` that run at once."""
        return self.kv_tokens // self.demand.max_total_tokens

    @property
    def verdict(self) -> Verdict:
        """`near`: it should start, but see `FEW_SEQUENCES` and `SMALL_MARGIN`, or no adapter has room."""
        if self.spare < 0:
            return "does not fit"
        small = self.spare < SMALL_MARGIN * self.available
        if small or self.sequences < FEW_SEQUENCES or self.adapters.resident < 1:
            return "near"
        return "fits"

    def arithmetic(self) -> tuple[str, ...]:
        """Format the sum, a line for each part."""
        demand, gpus = self.demand, self.demand.tensor_parallel
        gpu = f"{demand.instance.gpu} {demand.instance.gpu_gib:.2f} GiB"
        share = self.engine.usable_share
        if share < 1:
            gpu += f", of which {demand.rules.title} uses {share:.0%} = {_gib(self.available)}"
        split = f" / {gpus} GPUs" if gpus > 1 else ""
        least = self.kv_minimum // self.kv_per_token
        left = f"missing {_gib(-self.spare)}"
        if self.spare >= 0:
            cache = f"{self.kv_tokens:,} tokens, or {self.sequences} times {demand.max_total_tokens:,}"
            left = f"left {_gib(self.spare)}, so that the KV cache holds {cache}"
        return (
            gpu,
            f"weights {_weights_text(demand)}{split} = {_gib(self.weights)}",
            f"engine (estimated) {_gib(self.overhead)}, its largest step {_gib(self.activations)}",
            f"adapters {self.adapters.text} = {_gib(self.adapters.reserved)}, "
            f"room for {self.adapters.resident}",
            f"KV cache {least:,} tokens × {self.kv_per_token:,} bytes = {_gib(self.kv_minimum)} at least",
            left,
        )


def tensor_parallel_problem(shape: ModelShape, instance: InstanceType, engine: str, gpus: int) -> str | None:
    """Return why a model cannot be shared by so many GPUs, in a sentence; None if it can."""
    reason = _unshareable(shape, instance, engine, gpus)
    if reason is None:
        return None
    others = range(1, instance.gpus + 1)
    shareable = [str(n) for n in others if _unshareable(shape, instance, engine, n) is None]
    return f"{reason}: write {any_of(shareable)}"


def _unshareable(shape: ModelShape, instance: InstanceType, engine: str, gpus: int) -> str | None:
    if gpus > instance.gpus:
        return f"{instance.name} has {instance.gpus} GPU(s)"
    heads, kv = shape.attention_heads, shape.kv_heads
    if heads % gpus:
        return f"{gpus} GPUs cannot share the model's {heads} attention heads"
    if kv % gpus and (gpus % kv or not MEMORY[engine].copies_kv_heads):
        return f"{gpus} GPUs cannot share the model's {kv} KV heads"
    return None


def plan_of(demand: Demand) -> MemoryPlan | None:
    """Compute the memory that each GPU needs; None for a quantization whose size is not known.

    Raises `ValueError` with the sentence of `tensor_parallel_problem`, if there is one.
    """
    shape, gpus, engine = demand.shape, demand.tensor_parallel, MEMORY[demand.engine]
    if problem := tensor_parallel_problem(shape, demand.instance, demand.engine, gpus):
        raise ValueError(problem)
    weights = weight_bytes(shape, demand.engine, demand.quantize)
    if weights is None:
        return None
    kv_per_token = kv_bytes_per_token(shape, gpus, halved=demand.quantize in engine.halved_kv)
    return MemoryPlan(
        demand=demand,
        available=int(demand.instance.gpu_gib * GIB * engine.usable_share),
        # Norms, the only weights that are not shared out, take less than 0.01 %.
        weights=weights // gpus,
        overhead=_overhead(demand, engine),
        activations=_activations(demand, engine),
        adapters=engine.adapters(demand),
        kv_minimum=kv_per_token * demand.max_total_tokens * engine.kv_sequences,
        kv_per_token=kv_per_token,
    )


def _overhead(demand: Demand, engine: EngineMemory) -> int:
    """Estimate the memory beside the model: 0.6 GiB for context and kernels, as much again for NCCL's buffers
    where GPUs share the model, and as much again for CUDA graphs."""
    return int(0.6 * GIB) * (1 + (demand.tensor_parallel > 1) + engine.captures_graphs)


def _activations(demand: Demand, engine: EngineMemory) -> int:
    """Estimate the largest step: the MLP's input and outputs for each token, and logits."""
    shape, step = demand.shape, engine.largest_step(demand)
    mlp = HALF * (4 * shape.hidden_size + 3 * shape.intermediate_size // demand.tensor_parallel)
    return step.tokens * mlp + step.rows * shape.vocab_size * step.logit_bytes


def _weights_text(demand: Demand) -> str:
    shape = demand.shape
    if shape.stored_bytes is not None:
        return f"as stored, {shape.stored_bytes / GIB:.1f} GiB"
    billions = f"{shape.parameters / 1e9:.2f} B"
    if demand.quantize is None:
        return f"{billions} × 2 bytes"
    bits = demand.rules.quantizations[demand.quantize]
    return f"{billions} at {bits:g} bits ({demand.quantize}), embeddings at 16"


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
