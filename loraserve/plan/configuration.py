"""A configuration, evaluated: memory, batch, throughput, latency and cost."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

from loraserve.plan.question import PlanQuestion
from stacks.sizing.cost_estimate import HOURS_PER_MONTH
from stacks.sizing.demand import Demand
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.gpu_memory import MemoryPlan, plan_of, tensor_parallel_problem
from stacks.sizing.memory_parts import GIB
from stacks.sizing.popularity import miss_rate
from stacks.sizing.throughput import (
    LORA_HIGH,
    LORA_LOW,
    LORA_MID,
    BatchLimit,
    LoraCost,
    StepWork,
    balanced_batch,
    batch_limits,
    binding,
    different_adapters,
    first_token_s,
    latency_s,
    requests_per_s,
    slo_concurrency,
    slot_batch,
    step_s,
    step_work,
)

#: Seconds in which an engine brings an adapter from the host's memory into a slot, without a step: assumed.
#: GPULLMAdapterOptimization@bae36e2d measured, with vLLM 0.8 on an H100, 6.6 ms (Llama-3.1-8B), 7.8 to 8.1
#: where the slot's rank is larger than the adapter's, 3.0 to 3.5 (Qwen2.5-7B).
SLOT_LOAD_S = 0.0078


@dataclass(frozen=True)
class ByLoraCost:
    """A figure with the middle cost of LoRA, between the slowest and the fastest of the three costs.

    Slowest is the highest cost that was published. After a calibration, which scales each cost by its own
    factor, it may be another.
    """

    slowest: float
    mid: float
    fastest: float

    def scaled(self, factor: float) -> ByLoraCost:
        """Return it, each of the three times `factor`."""
        return ByLoraCost(self.slowest * factor, self.mid * factor, self.fastest * factor)

    def inverted(self, numerator: float) -> ByLoraCost:
        """Return `numerator` ÷ each of the three."""
        return ByLoraCost(numerator / self.slowest, numerator / self.mid, numerator / self.fastest)


@dataclass(frozen=True, kw_only=True)
class FleetPlan:
    """Instances for a rate."""

    instances: int
    in_flight: float
    """Requests in flight on each."""
    latency_s: float
    usd_per_month: float | None


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """An evaluated configuration; times in seconds, USD None without a price."""

    memory: MemoryPlan
    limits: tuple[BatchLimit, ...]
    bound: BatchLimit
    """The limit that binds."""
    balanced: float
    """B*: below it reading, above it computing takes longer."""
    different: float
    """Different adapters in a full batch."""
    miss_rate: float
    """Share of the requests whose adapter is not in a slot."""
    step_s: ByLoraCost
    first_token_s: ByLoraCost
    in_flight: int
    """Requests at the engine, those included that wait for a slot."""
    latency_s: ByLoraCost
    """Of a whole answer, with so many in flight."""
    requests_per_s: ByLoraCost
    output_tokens_per_s: ByLoraCost
    usd_per_million: ByLoraCost | None
    """For a million output tokens, at the question's utilization."""
    usd_per_thousand: ByLoraCost | None
    """For a thousand requests."""
    fleet: FleetPlan | None
    """For the question's rate."""

    @property
    def demand(self) -> Demand:
        """The configuration."""
        return self.memory.demand

    @property
    def slots(self) -> int:
        """Adapters in the engine's memory at once."""
        return self.memory.adapters.resident

    @property
    def swaps_per_s(self) -> float:
        """Adapters brought into a slot per second, at full throughput."""
        return self.requests_per_s.mid * self.miss_rate


@dataclass(frozen=True)
class Misfit:
    """A configuration that cannot serve the traffic."""

    demand: Demand
    reason: str
    asked: int | None = None
    """Slots that were asked for: no share of the memory may have room for them."""

    @property
    def slots(self) -> int:
        """Adapters that the engine's memory was to have room for."""
        return self.asked or MEMORY[self.demand.engine].adapters(self.demand).resident


def evaluate(question: PlanQuestion, demand: Demand) -> Configuration | Misfit:
    """Evaluate a configuration for the traffic of a question."""
    memory = _memory(question, demand)
    if isinstance(memory, Misfit):
        return memory
    traffic, load = question.traffic, question.load
    work = {cost: step_work(memory, question.scales(demand).of(cost)) for cost in COSTS}
    engine_limit = demand.max_num_seqs - question.other_seqs
    limits = batch_limits(
        work[LORA_MID],
        traffic,
        max_concurrent_requests=engine_limit,
        kv_tokens=memory.kv_tokens,
        in_flight=load.concurrency,
    )
    if load.concurrency is not None:
        limits = (*limits, BatchLimit(limit="requests in flight", batch=load.concurrency))
    bound = binding(limits)
    if bound.batch < 1:
        return Misfit(demand, f"{bound.limit}: less than one request")
    largest = int(bound.batch)

    def running(in_flight: int) -> int:
        # The gateway keeps what is beyond the engine's limit.
        at_engine = min(in_flight, engine_limit)
        return max(1, min(largest, int(slot_batch(work[LORA_MID], traffic, at_engine))))

    # Without a load the fewest with which the batch is full.
    in_flight = load.concurrency or bisect_left(range(engine_limit), largest, largest, key=running)
    kept = slo_in_flight(question, work[LORA_MID], running, in_flight)
    if kept < 1:
        return Misfit(demand, "a single request is slower than the SLO")
    if kept < in_flight:
        in_flight = kept
        limits = (*limits, BatchLimit(limit="SLO", batch=running(kept)))
        bound = binding(limits)
    batch = bound.batch
    missed = miss_rate(traffic.shares, memory.adapters.resident)

    def by_cost(seconds: Callable[[StepWork, LoraCost], float]) -> ByLoraCost:
        found = {cost: seconds(work[cost], cost) for cost in COSTS}
        return ByLoraCost(max(found.values()), found[LORA_MID], min(found.values()))

    each = by_cost(lambda w, cost: 1 / _with_swaps(requests_per_s(w, traffic, batch, cost), missed))
    requests = each.inverted(1)
    tokens = requests.scaled(traffic.output_tokens)
    hour = question.instance_hour(demand.instance.name)
    paid = None if hour is None else hour / (3600 * question.utilization)
    found = Configuration(
        memory=memory,
        limits=limits,
        bound=bound,
        balanced=balanced_batch(work[LORA_MID], traffic),
        different=different_adapters(work[LORA_MID], traffic, batch),
        miss_rate=missed,
        step_s=by_cost(lambda w, cost: step_s(w, traffic, batch, cost)),
        first_token_s=by_cost(lambda w, cost: first_token_s(w, traffic, batch, cost)),
        in_flight=in_flight,
        latency_s=requests.inverted(in_flight),
        requests_per_s=requests,
        output_tokens_per_s=tokens,
        usd_per_million=None if paid is None else tokens.inverted(1e6 * paid),
        usd_per_thousand=None if paid is None else requests.inverted(1e3 * paid),
        fleet=None,
    )
    if load.rate is None:
        return found
    return replace(found, fleet=_fleet(question, found, work[LORA_MID], load.rate))


def _memory(question: PlanQuestion, demand: Demand) -> MemoryPlan | Misfit:
    problem = tensor_parallel_problem(demand.shape, demand.instance, demand.engine, demand.tensor_parallel)
    if problem is not None:
        return Misfit(demand, problem)
    memory = plan_of(demand, question.calibration(demand))
    if memory is None:
        return Misfit(demand, f"the size of the quantization {demand.quantize} is not known")
    if memory.spare < 0:
        return Misfit(demand, f"{-memory.spare / GIB:.1f} GiB of each GPU are missing")
    if question.adapters and memory.adapters.resident < 1:
        return Misfit(demand, "an adapter is larger than the memory for adapters")
    return memory


COSTS = (LORA_HIGH, LORA_MID, LORA_LOW)


def slo_in_flight(question: PlanQuestion, work: StepWork, running: Callable[[int], int], most: int) -> int:
    """Return the largest number of requests in flight, at most `most`, that keeps every bound of the SLO.

    `running`: how many of the requests in flight run. 0: not even a single request keeps them.
    """
    slo, traffic = question.slo, question.traffic

    def step(in_flight: int) -> float:
        return step_s(work, traffic, running(in_flight))

    def answer(in_flight: int) -> float:
        return latency_s(work, traffic, in_flight, running(in_flight))

    def first_token(in_flight: int) -> float:
        batch = running(in_flight)
        waiting = answer(in_flight) - traffic.output_tokens * step_s(work, traffic, batch)
        return waiting + first_token_s(work, traffic, batch)

    bounds = ((slo.itl_s, step), (slo.ttft_s, first_token), (slo.e2e_s, answer))
    return min(
        (slo_concurrency(latency, bound, most) for bound, latency in bounds if bound is not None),
        default=most,
    )


def _with_swaps(requests: float, missed: float) -> float:
    """Return the requests per second, less the time of loads into slots."""
    return 1 / (1 / requests + missed * SLOT_LOAD_S)


def _fleet(question: PlanQuestion, found: Configuration, work: StepWork, rate: float) -> FleetPlan:
    """Compute the instances for a rate, each at the question's utilization at most."""
    instances = math.ceil(rate / (found.requests_per_s.mid * question.utilization))
    each, traffic = rate / instances, question.traffic
    most = int(found.bound.batch)
    # The number in flight is the one whose throughput is the rate: the first that is not below it.
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if _with_swaps(requests_per_s(work, traffic, middle), found.miss_rate) < each:
            low = middle + 1
        else:
            high = middle
    one = _with_swaps(requests_per_s(work, traffic, low), found.miss_rate)
    latency = low / one
    hour = question.instance_hour(found.demand.instance.name)
    return FleetPlan(
        instances=instances,
        in_flight=min(float(low), each * latency),
        latency_s=latency,
        usd_per_month=None if hour is None else instances * hour * HOURS_PER_MONTH,
    )
