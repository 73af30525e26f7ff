"""Time of an engine's step, and what follows from it: batch, tokens per second and latency.

A step makes one token for each sequence of the batch, and reads prompts of new ones on the way. It takes

    memory  = (weights + batch · context · KV bytes per token) / (bandwidth · 0.70)
    compute = 2 · parameters · (batch + batch · input/output) / (TFLOPS · 0.50)
    step    = √(memory² + compute²) + adapters

where context is input + output/2, and adapters is the cost of LoRA, see `LoraCost`. Traffic between GPUs that
share a model is not in it, and makes steps there longer than computed. The shares 0.70 and 0.50 are fitted to
ten published points (docs/plan.md), with a median error of 7 % and a largest one of 24 %: a fit, no forecast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final, Literal

from stacks.sizing.gpu_memory import MemoryPlan
from stacks.sizing.model_shape import ModelShape
from stacks.sizing.popularity import Shares, expected_different
from stacks.sizing.slot_queue import queued_batch

#: Shares of a GPU's peaks that a step reaches; fitted together, see above.
BANDWIDTH_SHARE: Final = 0.70
COMPUTE_SHARE: Final = 0.50
#: Linear layers that an engine packs into one, with a shrink and an expand kernel for each.
_PACKED = (
    frozenset({"q_proj", "k_proj", "v_proj", "qkv_proj"}),
    frozenset({"o_proj"}),
    frozenset({"gate_proj", "up_proj", "gate_up_proj", "experts", "w1", "w3"}),
    frozenset({"down_proj", "w2"}),
)
#: `num_experts_per_tok` of Mixtral's config.json, the one architecture with experts.
_EXPERTS_PER_TOKEN = 2

Limit = Literal["max_concurrent_requests", "KV cache", "slots and popularity", "SLO", "requests in flight"]


@dataclass(frozen=True)
class LoraCost:
    """Seconds that LoRA adds to a step; assumed, because published factors on a step go from 1.02 to 2."""

    launch_s: float
    """For each kernel."""
    adapter_s: float
    """For each different adapter in the batch."""


#: Between S-LoRA's figures (1.02 to 1.05 on an A10G) and the fits of GPULLMAdapterOptimization@bae36e2d (vLLM
#: 0.8 V1 on an H100: 41 µs for a kernel, 0.2 ms for an adapter).
LORA_LOW: Final = LoraCost(0, 0)
LORA_MID: Final = LoraCost(20e-6, 0.05e-3)
LORA_HIGH: Final = LoraCost(45e-6, 0.2e-3)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """A typical request, and the popularity of the adapters."""

    input_tokens: float
    output_tokens: float
    shares: Shares = ()
    """Shares of the requests by adapter; empty: the base model alone, without the cost of LoRA."""

    @property
    def context(self) -> float:
        """Tokens of a sequence in the KV cache, on average over its steps."""
        return self.input_tokens + self.output_tokens / 2

    @property
    def total_tokens(self) -> float:
        """Tokens of a sequence at its end."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, kw_only=True)
class StepWork:
    """Bytes that a step reads and products that it computes on each GPU, and the speed of the GPU."""

    weight_bytes: float
    kv_bytes: float
    """Per token in the KV cache."""
    parameters: float
    """Weights that a token is multiplied with."""
    bytes_per_s: float
    """Peak of the GPU's memory."""
    flops_per_s: float
    """Peak of dense products in 16 bits."""
    launches: int
    """LoRA kernels in a step."""
    slots: float = math.inf
    """Different adapters that a batch may have."""
    scale: float = 1.0
    """A measured step ÷ the computed one."""


@dataclass(frozen=True, kw_only=True)
class BatchLimit:
    """The largest batch by one limit."""

    limit: Limit
    batch: float
    """Sequences; infinite where the limit does not bind."""


@dataclass(frozen=True)
class LatencyModel:
    """Latency of a request as a linear function of the requests in flight on its instance."""

    base_s: float
    per_request_s: float
    max_in_flight: int
    """Requests that run at once; more wait."""

    def seconds(self, in_flight: float) -> float:
        """Return the latency with so many requests in flight, the waiting ones included."""
        running = min(in_flight, self.max_in_flight)
        served = self.base_s + self.per_request_s * running
        return served * in_flight / running if in_flight > running else served


def step_work(plan: MemoryPlan, scale: float = 1.0) -> StepWork:
    """Take the work of a step from a memory plan; `scale` is the one of a measurement."""
    demand = plan.demand
    gpus, instance = demand.tensor_parallel, demand.instance
    return StepWork(
        weight_bytes=plan.weights,
        kv_bytes=plan.kv_per_token,
        parameters=active_parameters(demand.shape) / gpus,
        bytes_per_s=instance.gpu_bandwidth_gb_s * 1e9,
        flops_per_s=instance.gpu_tflops * 1e12,
        launches=lora_launches(demand.shape, demand.adapter_target_modules),
        slots=plan.adapters.resident,
        scale=scale,
    )


def active_parameters(shape: ModelShape) -> int:
    """Count the weights that one token is multiplied with: of several experts two."""
    hidden, width = shape.hidden_size, shape.attention_heads * shape.head_dim
    expert = shape.layers * 3 * hidden * shape.intermediate_size
    if not shape.parameters:  # packed weights
        attention = 2 * hidden * (width + shape.kv_heads * shape.head_dim)
        experts = min(shape.experts, _EXPERTS_PER_TOKEN)
        return shape.layers * attention + experts * expert + shape.embedding_parameters
    return shape.parameters - max(0, shape.experts - _EXPERTS_PER_TOKEN) * expert


def lora_launches(shape: ModelShape, modules: Collection[str] | None) -> int:
    """Count the LoRA kernels of a step: a shrink and an expand for each packed layer with a module of
    `modules` (None: all)."""
    packed = sum(modules is None or not names.isdisjoint(modules) for names in _PACKED)
    return 2 * packed * shape.layers


def different_adapters(work: StepWork, traffic: Traffic, batch: float) -> float:
    """Return the expected number of different adapters in a batch."""
    return min(work.slots, expected_different(traffic.shares, batch))


def memory_s(work: StepWork, traffic: Traffic, batch: float) -> float:
    """Return the seconds in which a step reads weights and KV cache."""
    return (work.weight_bytes + batch * traffic.context * work.kv_bytes) / (
        work.bytes_per_s * BANDWIDTH_SHARE
    )


def compute_s(work: StepWork, tokens: float) -> float:
    """Return the seconds of the matrix products of so many tokens."""
    return 2 * work.parameters * tokens / (work.flops_per_s * COMPUTE_SHARE)


def step_s(work: StepWork, traffic: Traffic, batch: float, lora: LoraCost = LORA_MID) -> float:
    """Return the seconds of a step: the mean time between two tokens of a sequence."""
    return _step(work, traffic, batch, batch * traffic.input_tokens / traffic.output_tokens, lora)


def _step(work: StepWork, traffic: Traffic, batch: float, prompt_tokens: float, lora: LoraCost) -> float:
    base = math.hypot(memory_s(work, traffic, batch), compute_s(work, batch + prompt_tokens))
    if not traffic.shares:
        return work.scale * base
    different = different_adapters(work, traffic, batch)
    return work.scale * (base + work.launches * lora.launch_s + different * lora.adapter_s)


def balanced_batch(work: StepWork, traffic: Traffic) -> float:
    """Return B*, the batch whose reading takes as long as its computing; infinite if reading always takes
    longer.

    Below it a larger batch costs little time, above it a step grows with the batch.
    """
    read = work.weight_bytes / (work.bytes_per_s * BANDWIDTH_SHARE)
    each = compute_s(work, 1 + traffic.input_tokens / traffic.output_tokens)
    each -= traffic.context * work.kv_bytes / (work.bytes_per_s * BANDWIDTH_SHARE)
    return read / each if each > 0 else math.inf


def batch_limits(
    work: StepWork,
    traffic: Traffic,
    *,
    max_concurrent_requests: int,
    kv_tokens: int,
    in_flight: int | None = None,
) -> tuple[BatchLimit, ...]:
    """Return the largest batch by the engine's setting, by the KV cache and by the slots for adapters.

    A sequence is counted at its full length. The limit by slots depends on the requests at the engine, see
    `queued_batch`: `in_flight`, by default as many as it takes.
    """
    at_engine = min(max_concurrent_requests, in_flight or max_concurrent_requests)
    running = slot_batch(work, traffic, at_engine)
    return (
        BatchLimit(limit="max_concurrent_requests", batch=max_concurrent_requests),
        BatchLimit(limit="KV cache", batch=kv_tokens // traffic.total_tokens),
        BatchLimit(limit="slots and popularity", batch=running if running < at_engine else math.inf),
    )


def slot_batch(work: StepWork, traffic: Traffic, in_flight: int) -> float:
    """Return how many of the requests at the engine run, as far as slots for adapters go."""
    if work.slots >= len(traffic.shares):
        return in_flight
    return queued_batch(traffic.shares, int(work.slots), in_flight)


def binding(limits: Collection[BatchLimit]) -> BatchLimit:
    """Return the limit that binds, its batch in whole sequences: the lowest, of equals the first."""
    lowest = min(limits, key=lambda limit: limit.batch)
    return replace(lowest, batch=math.floor(lowest.batch))


def output_tokens_per_s(work: StepWork, traffic: Traffic, batch: float, lora: LoraCost = LORA_MID) -> float:
    """Return the output tokens per second with a full batch."""
    return batch / step_s(work, traffic, batch, lora)


def requests_per_s(work: StepWork, traffic: Traffic, batch: float, lora: LoraCost = LORA_MID) -> float:
    """Return the requests per second with a full batch."""
    return output_tokens_per_s(work, traffic, batch, lora) / traffic.output_tokens


def latency_s(
    work: StepWork, traffic: Traffic, in_flight: float, max_batch: float, lora: LoraCost = LORA_MID
) -> float:
    """Return the latency of a whole answer with so many requests in flight; those beyond `max_batch` wait."""
    return in_flight / requests_per_s(work, traffic, min(in_flight, max_batch), lora)


def first_token_s(work: StepWork, traffic: Traffic, batch: float, lora: LoraCost = LORA_MID) -> float:
    """Return the time to the first token without a queue: half a step, then the one that reads the prompt."""
    prompts = max(traffic.input_tokens, batch * traffic.input_tokens / traffic.output_tokens)
    return step_s(work, traffic, batch, lora) / 2 + _step(work, traffic, batch, prompts, lora)


def latency_model(latency: Callable[[float], float], slo_s: float, max_batch: int) -> LatencyModel:
    """Return the line with the same latency for a single request and the same `slo_concurrency`.

    `latency` must not fall with the requests in flight. If all `max_batch` are within the SLO, or none is,
    the line has the same latency for all of them.
    """
    alone_s = latency(1)
    in_time = slo_concurrency(latency, slo_s, max_batch)
    # The line is at the SLO between the last number that is within it and the next.
    count, seconds = (in_time + 0.5, slo_s) if 0 < in_time < max_batch else (max_batch, latency(max_batch))
    slope = (seconds - alone_s) / (count - 1) if count > 1 else 0.0
    return LatencyModel(alone_s - slope, slope, max_batch)


def slo_concurrency(latency: Callable[[int], float], slo_s: float, most: int) -> int:
    """Return the largest number of requests in flight, at most `most`, whose latency is within the SLO.

    `latency` must not fall with their number, e.g. `LatencyModel.seconds`. 0: a single request is too slow.
    With `most` the requests that run at once, none of the result's requests waits.
    """
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if latency(middle) <= slo_s:
            low = middle
        else:
            high = middle - 1
    return low
