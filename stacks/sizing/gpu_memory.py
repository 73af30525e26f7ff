"""Whether a model, its adapters and a few requests fit into a GPU's memory: arithmetic, without a GPU.

What the engines do is read in their code (LoRAX 0.12.1, vLLM 0.32.0). What they need beside weights, adapters
and KV cache is estimated, and not measured on these GPUs: see `_overhead` and `_activations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adapters.engines import vllm
from stacks.sizing.instances import InstanceType
from stacks.sizing.memory_parts import (
    GIB,
    HALF,
    QUANTIZED_BITS,
    adapter_bytes,
    kv_bytes_per_token,
    slot_bytes,
    weight_bytes,
)
from stacks.sizing.model_shape import ModelShape

Engine = Literal["lorax", "vllm"]
Verdict = Literal["fits", "near", "does not fit"]

#: The share of a GPU's memory that vLLM uses (`gpu_memory_utilization`).
VLLM_SHARE = 0.92
#: The share of what is left after its warm-up that LoRAX gives to the KV cache (`MEMORY_WIGGLE_ROOM`).
LORAX_WIGGLE = 0.95
#: Below either a plan is "near". Batching is the point of these engines: with fewer than four requests of
#: full length at once there is little left of it. And the estimates here may be wrong by about 1 GiB of 22.
FEW_SEQUENCES = 4
SMALL_MARGIN = 0.05


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is to be served, with what and on what."""

    shape: ModelShape
    instance: InstanceType
    engine: Engine
    dtype: str | None
    """None: the model's own. Both that exist take two bytes."""
    quantize: str | None
    tensor_parallel: int
    max_input_tokens: int
    max_total_tokens: int
    max_adapter_rank: int
    max_active_adapters: int
    adapter_target_modules: tuple[str, ...] | None
    """None: all linear layers."""
    adapter_memory_fraction: float


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """Bytes on each of the GPUs that share the model."""

    demand: Demand
    available: int
    """What the engine may use: all (LoRAX) or `VLLM_SHARE`."""
    weights: int
    overhead: int
    """CUDA context, kernels, buffers between GPUs, CUDA graphs."""
    activations: int
    """The engine's largest step, which both engines run at the start to see what is left."""
    adapters: int
    kv_minimum: int
    """KV cache without which the engine does not start: one sequence of full length (vLLM), two (LoRAX, which
    warms up with two requests)."""
    kv_per_token: int
    adapters_resident: int
    """How many adapters of the largest rank there is room for at once."""

    @property
    def needed(self) -> int:
        """The sum of all parts, with the least KV cache."""
        return self.weights + self.overhead + self.activations + self.adapters + self.kv_minimum

    @property
    def spare(self) -> int:
        """What is left for more KV cache; negative where it does not fit."""
        return self.available - self.needed

    @property
    def kv_tokens(self) -> int:
        """Tokens that the KV cache holds."""
        share = LORAX_WIGGLE if self.demand.engine == "lorax" else 1.0
        return 0 if self.spare < 0 else int((self.kv_minimum + share * self.spare) // self.kv_per_token)

    @property
    def sequences(self) -> int:
        """How many sequences of `max_total_tokens` run at once."""
        return self.kv_tokens // self.demand.max_total_tokens

    @property
    def verdict(self) -> Verdict:
        """`near`: it should start, but see `FEW_SEQUENCES` and `SMALL_MARGIN`, or no adapter has room."""
        if self.spare < 0:
            return "does not fit"
        small = self.spare < SMALL_MARGIN * self.available
        if small or self.sequences < FEW_SEQUENCES or self.adapters_resident < 1:
            return "near"
        return "fits"

    def arithmetic(self) -> tuple[str, ...]:
        """The sum, a line for each part."""
        demand, gpus = self.demand, self.demand.tensor_parallel
        gpu = f"{demand.instance.gpu} {demand.instance.gpu_gib:.2f} GiB"
        if demand.engine == "vllm":
            gpu += f", of which vLLM uses {VLLM_SHARE:.0%} = {_gib(self.available)}"
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
            f"adapters {_adapters_text(demand)} = {_gib(self.adapters)}, room for {self.adapters_resident}",
            f"KV cache {least:,} tokens × {self.kv_per_token:,} bytes = {_gib(self.kv_minimum)} at least",
            left,
        )


def tensor_parallel_problem(
    shape: ModelShape, instance: InstanceType, engine: Engine, gpus: int
) -> str | None:
    """Why a model cannot be shared by so many GPUs, in a sentence; None if it can."""
    if gpus > instance.gpus:
        return f"{instance.name} has {instance.gpus} GPU(s): tensor_parallel may be {instance.gpus} at most"
    heads, kv = shape.attention_heads, shape.kv_heads
    if heads % gpus:
        return f"{gpus} GPUs cannot share the model's {heads} attention heads: take a divisor of {heads}"
    # vLLM copies KV heads where there are fewer than GPUs; LoRAX does not.
    if kv % gpus and (engine == "lorax" or gpus % kv):
        return f"{gpus} GPUs cannot share the model's {kv} KV heads: take a divisor of {kv}"
    return None


def plan(
    *,
    shape: ModelShape,
    instance: InstanceType,
    engine: Engine,
    dtype: str | None,
    quantize: str | None,
    tensor_parallel: int,
    max_input_tokens: int,
    max_total_tokens: int,
    max_adapter_rank: int,
    max_active_adapters: int,
    adapter_target_modules: list[str] | None,
    adapter_memory_fraction: float,
) -> MemoryPlan | None:
    """The memory that each GPU needs; None for a quantization whose size is not known.

    Raises `ValueError` where `tensor_parallel_problem` has something to say.
    """
    modules = None if adapter_target_modules is None else tuple(adapter_target_modules)
    return plan_of(
        Demand(
            shape=shape,
            instance=instance,
            engine=engine,
            dtype=dtype,
            quantize=quantize,
            tensor_parallel=tensor_parallel,
            max_input_tokens=max_input_tokens,
            max_total_tokens=max_total_tokens,
            max_adapter_rank=max_adapter_rank,
            max_active_adapters=max_active_adapters,
            adapter_target_modules=modules,
            adapter_memory_fraction=adapter_memory_fraction,
        )
    )


def plan_of(demand: Demand) -> MemoryPlan | None:
    """As `plan`."""
    shape, gpus, lorax = demand.shape, demand.tensor_parallel, demand.engine == "lorax"
    if problem := tensor_parallel_problem(shape, demand.instance, demand.engine, gpus):
        raise ValueError(problem)
    weights = weight_bytes(shape, demand.engine, demand.quantize)
    if weights is None:
        return None
    total = demand.instance.gpu_gib * GIB
    if lorax:
        # Of all the memory, on each GPU; an adapter's whole file counts against it.
        adapters = int(demand.adapter_memory_fraction * total)
        largest = adapter_bytes(shape, demand.max_adapter_rank, demand.adapter_target_modules)
        resident = min(demand.max_active_adapters, adapters // largest) if largest else 0
    else:
        slot = slot_bytes(shape, engine_rank(demand.max_adapter_rank), demand.adapter_target_modules, gpus)
        adapters, resident = demand.max_active_adapters * slot, demand.max_active_adapters
    kv_per_token = kv_bytes_per_token(shape, demand.quantize, gpus)
    return MemoryPlan(
        demand=demand,
        available=int(total if lorax else total * VLLM_SHARE),
        # Norms, the only weights that are not shared out, take less than 0.01 %.
        weights=weights // gpus,
        overhead=_overhead(demand),
        activations=_activations(demand),
        adapters=adapters,
        kv_minimum=kv_per_token * demand.max_total_tokens * (2 if lorax else 1),
        kv_per_token=kv_per_token,
        adapters_resident=resident,
    )


def engine_rank(rank: int) -> int:
    """The rank of vLLM's slots for adapters of up to `rank`."""
    return next((allowed for allowed in vllm.RANKS if rank <= allowed), rank)


def _overhead(demand: Demand) -> int:
    """0.6 GiB for context and kernels; as much again for NCCL's buffers where GPUs share the model, and for
    the CUDA graphs that vLLM captures. LoRAX captures none here (`COMPILE` stays off)."""
    parts = 1 + (demand.tensor_parallel > 1) + (demand.engine == "vllm")
    return int(0.6 * GIB) * parts


def _activations(demand: Demand) -> int:
    """The largest step: the MLP's input and outputs for each token, and logits in 16 and 32 bits.

    LoRAX prefills `max_input_tokens` + 50 tokens and wants all their logits. vLLM prefills 2,048 tokens
    (8,192 on GPUs of 70 GiB and more, but the A100) and wants a row for each of about 128 sequences, sorted.
    """
    shape, instance, gpus = demand.shape, demand.instance, demand.tensor_parallel
    if demand.engine == "lorax":
        tokens = rows = demand.max_input_tokens + 50
        copies = 2 * HALF + 4
    else:
        tokens = 8192 if instance.gpu_gib >= 70 and instance.gpu != "A100" else 2048
        rows, copies = 128, HALF + 4 * 4
    mlp = tokens * HALF * (4 * shape.hidden_size + 3 * shape.intermediate_size // gpus)
    return mlp + rows * shape.vocab_size * copies


def _weights_text(demand: Demand) -> str:
    shape = demand.shape
    if shape.stored_bytes is not None:
        return f"as stored, {shape.stored_bytes / GIB:.1f} GiB"
    billions = f"{shape.parameters / 1e9:.2f} B"
    if demand.quantize is None:
        return f"{billions} × 2 bytes"
    bits = QUANTIZED_BITS[demand.engine][demand.quantize]
    return f"{billions} at {bits:g} bits ({demand.quantize}), embeddings at 16"


def _adapters_text(demand: Demand) -> str:
    if demand.engine == "lorax":
        return f"{demand.adapter_memory_fraction * 100:g}% of the memory"
    modules = demand.adapter_target_modules
    where = "all modules" if modules is None else ", ".join(modules)
    slots, rank = demand.max_active_adapters, engine_rank(demand.max_adapter_rank)
    return f"{slots} slot{'s' if slots > 1 else ''} of rank {rank} on {where}"


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
