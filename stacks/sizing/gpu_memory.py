"""Memory plan of a GPU: model, adapters and a few requests, computed without a GPU.

The engines' records (`stacks.sizing.engines`) are read in their code. Memory beside weights, adapters and KV
cache is estimated, and not measured on these GPUs: see `_overhead`, `_activations` and `EngineMemory.graphs`.
The log of an engine that ran replaces the estimates: `engine_log`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from stacks.sizing.demand import Demand
from stacks.sizing.engines.memory import AdapterMemory, EngineMemory
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.instances import InstanceType
from stacks.sizing.memory_parts import GIB, kv_bytes_per_token, weight_bytes
from stacks.sizing.model_shape import ModelShape
from stacks.wording import any_of

Verdict = Literal["fits", "tight", "does not fit"]

#: Below either a plan is "tight". With fewer than four requests of full length at once, batching has little
#: effect. The estimates may be wrong by about 1 GiB of 22.
FEW_SEQUENCES = 4
SMALL_MARGIN = 0.05
#: The same for an engine with CUDA graphs, in bytes: published logs of them differ by as much (0.67 GiB kept
#: back for 1.68, vLLM's pull request 40044).
GRAPHS_MARGIN = int(1.5 * GIB)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Memory on each GPU, measured by an engine's log, in place of a plan's estimates."""

    weights: int | None
    """Bytes; None: the log has them not apart."""
    overhead: int
    """Bytes beside what a plan computes. Negative where its estimate of the largest step is too high."""
    graphs: int
    """Bytes that the engine kept back for CUDA graphs."""


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """A memory plan: bytes on each of the GPUs that share the model."""

    demand: Demand
    available: int
    """Memory that the engine may use: `EngineMemory.usable_share` of all."""
    weights: int
    overhead: int
    """CUDA context, kernels, buffers between GPUs."""
    graphs: int
    """CUDA graphs, at least: the sum has these."""
    graphs_most: int
    """CUDA graphs, at most."""
    activations: int
    """The engine's largest step, see `LargestStep`."""
    adapters: AdapterMemory
    kv_minimum: int
    """KV cache without which the engine does not start: `EngineMemory.kv_sequences` of full length."""
    kv_per_token: int
    host_adapters: int
    """The host's memory for adapters."""
    measured: bool
    """True if `overhead`, `graphs` and, where the log has them, `weights` are an engine's log's."""

    @property
    def engine(self) -> EngineMemory:
        """The engine's memory record."""
        return MEMORY[self.demand.engine]

    @property
    def needed(self) -> int:
        """The sum of all parts, with the least KV cache."""
        beside = self.overhead + self.graphs + self.activations
        return self.weights + beside + self.adapters.reserved + self.kv_minimum

    @property
    def spare(self) -> int:
        """The rest for more KV cache; negative if the plan does not fit."""
        return self.available - self.needed

    @property
    def kv_tokens(self) -> int:
        """Tokens that the KV cache holds, a whole number of blocks."""
        return self._kv_tokens(self.spare)

    @property
    def kv_tokens_least(self) -> int:
        """The same if CUDA graphs take `graphs_most`."""
        return self._kv_tokens(self.spare - self.graphs_most + self.graphs)

    @property
    def kv_blocks(self) -> int:
        """Blocks of the KV cache."""
        return self.kv_tokens // self.engine.block_tokens

    def _kv_tokens(self, spare: int) -> int:
        if spare < 0:
            return 0
        block = self.engine.block_tokens
        blocks = (self.kv_minimum + self.engine.kv_share * spare) // (self.kv_per_token * block)
        return int(blocks) * block

    @property
    def sequences(self) -> int:
        """Sequences of `max_total_tokens` that run at once."""
        return self.kv_tokens // self.demand.max_total_tokens

    @property
    def verdict(self) -> Verdict:
        """`tight`: it should start, but the margins above are not kept, or no adapter has room."""
        if self.spare < 0:
            return "does not fit"
        small = self.spare < max(SMALL_MARGIN * self.available, self._graphs_margin)
        none = self.demand.max_active_adapters > 0 and self.adapters.resident < 1
        if small or self.sequences < FEW_SEQUENCES or none:
            return "tight"
        return "fits"

    @property
    def _graphs_margin(self) -> int:
        return GRAPHS_MARGIN if self.graphs_most and not self.measured else 0

    def corrected(self, calibration: Calibration) -> MemoryPlan:
        """Return the plan with what a log says in place of its estimates."""
        return replace(
            self,
            weights=self.weights if calibration.weights is None else calibration.weights,
            overhead=calibration.overhead,
            graphs=calibration.graphs,
            graphs_most=calibration.graphs,
            measured=True,
        )

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
        graphs = ""
        if self.graphs_most:
            most = f" to {self.graphs_most / GIB:.1f}" if self.graphs_most > self.graphs else ""
            graphs = f", CUDA graphs {self.graphs / GIB:.1f}{most} GiB"
        source = "measured" if self.measured else "estimated"
        return (
            gpu,
            f"weights {_weights_text(demand)}{split} = {_gib(self.weights)}",
            f"engine ({source}) {_gib(self.overhead)}{graphs}, its largest step {_gib(self.activations)}",
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


def plan_of(demand: Demand, calibration: Calibration | None = None) -> MemoryPlan | None:
    """Compute the memory that each GPU needs; None for a quantization whose size is not known.

    `calibration`: of the same model, engine and GPU. Raises `ValueError` with the sentence of
    `tensor_parallel_problem`, if there is one.
    """
    shape, gpus, engine = demand.shape, demand.tensor_parallel, MEMORY[demand.engine]
    if problem := tensor_parallel_problem(shape, demand.instance, demand.engine, gpus):
        raise ValueError(problem)
    number = demand.number_bytes
    weights = weight_bytes(shape, demand.engine, demand.quantize, number)
    if weights is None:
        return None
    # Norms, the only weights that are not shared out, take less than 0.01 %.
    weights //= gpus
    graphs, graphs_most = engine.graphs(demand)
    kv_per_token = kv_per_token_of(demand)
    # A request has whole blocks.
    longest = -(-demand.max_total_tokens // engine.block_tokens) * engine.block_tokens
    plan = MemoryPlan(
        demand=demand,
        available=int(demand.instance.gpu_gib * GIB * engine.usable_share),
        weights=weights,
        overhead=_overhead(demand),
        graphs=graphs,
        graphs_most=graphs_most,
        activations=_activations(demand, engine),
        adapters=engine.adapters(demand),
        kv_minimum=kv_per_token * longest * engine.kv_sequences,
        kv_per_token=kv_per_token,
        host_adapters=engine.host_adapters(demand),
        measured=False,
    )
    return plan if calibration is None else plan.corrected(calibration)


def kv_per_token_of(demand: Demand) -> int:
    """Compute the size of one token's keys and values on each GPU."""
    halved = demand.quantize in MEMORY[demand.engine].halved_kv
    return kv_bytes_per_token(demand.shape, demand.tensor_parallel, 1 if halved else demand.number_bytes)


def _overhead(demand: Demand) -> int:
    """Estimate the memory beside the model: 0.6 GiB for context and kernels, and as much again for NCCL's
    buffers where GPUs share the model."""
    return int(0.6 * GIB) * (1 + (demand.tensor_parallel > 1))


def _activations(demand: Demand, engine: EngineMemory) -> int:
    """Estimate the largest step: the MLP's input and outputs for each token, and logits."""
    shape, step = demand.shape, engine.largest_step(demand)
    numbers = 4 * shape.hidden_size + 3 * shape.intermediate_size // demand.tensor_parallel
    logits = int(step.rows * shape.vocab_size * step.logit_bytes)
    return step.tokens * demand.number_bytes * numbers + logits


def _weights_text(demand: Demand) -> str:
    shape = demand.shape
    if shape.stored_bytes is not None:
        return f"as stored, {shape.stored_bytes / GIB:.1f} GiB"
    billions = f"{shape.parameters / 1e9:.2f} B"
    if demand.quantize is None:
        return f"{billions} × {demand.number_bytes} bytes"
    bits = demand.rules.quantizations[demand.quantize]
    return f"{billions} at {bits:g} bits ({demand.quantize}), embeddings at {8 * demand.number_bytes}"


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
