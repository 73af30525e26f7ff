"""The memory plan against published logs of vLLM with adapters.

published_memory.csv: lines "Model loading took … GiB", "GPU KV cache size: … tokens" and, where vLLM refused to
start, "available KV cache memory (… GiB)" of the logs in github.com/FerranAgulloLopez/GPULLMAdapterOptimization
(Apache-2.0) at bae36e2d, digital_twin_dynamic/estimators/find_available_gpu_memory_depending_on_loaded_adapters/.
Where a row has neither of the last two, the start ended with "out of memory" or "No available memory for
the cache blocks". vLLM 0.8.5 with the V1 engine, an H100 of 63.43 GiB, utilization 0.9, 2,048 sequences, the model's full length.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from stacks.sizing.demand import Demand
from stacks.sizing.engine_log import EngineLog, calibration_of
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.gpu_memory import MemoryPlan, plan_of
from stacks.sizing.instances import INSTANCE_TYPES
from stacks.sizing.known_models import KNOWN_MODELS
from stacks.sizing.memory_parts import GIB

LLAMA, QWEN = "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-7B-Instruct"
LONGEST = {LLAMA: 131_072, QWEN: 32_768}
#: vLLM 0.8 had room for 256 more tokens of each adapter in embeddings and head: 3 × 256 × 4,096 numbers a slot
#: of the classes with slots there. 0.32.0 has not.
EXTRA_VOCABULARY = {LLAMA: 6 * 2**20, QWEN: 0}
UTILIZATION = 0.9


@dataclass(frozen=True)
class Start:
    model: str
    slots: int
    rank: int
    loaded_gib: float | None
    """None: the memory was not enough for weights and slots."""
    kv_tokens: int | None
    """None: it did not start."""
    refused_kv_gib: float | None

    @property
    def demand(self) -> Demand:
        # The plan's own share of the GPU is vLLM's default since 0.22.
        gib = 63.43 * UTILIZATION / MEMORY["vllm"].usable_share
        return Demand(
            shape=KNOWN_MODELS[self.model],
            instance=replace(INSTANCE_TYPES["ml.p5.4xlarge"], gpu_gib=gib),
            engine="vllm",
            dtype=None,
            quantize=None,
            tensor_parallel=1,
            max_input_tokens=1024,
            max_total_tokens=LONGEST[self.model],
            max_num_seqs=2048,
            max_adapter_rank=self.rank,
            max_active_adapters=self.slots,
            adapter_target_modules=None,
            adapter_memory_fraction=0,
        )

    @property
    def log(self) -> EngineLog:
        loaded = None if self.loaded_gib is None else int(self.loaded_gib * GIB)
        return EngineLog(loaded=loaded, kv_tokens=self.kv_tokens, kv_bytes=None, graphs=0)

    @property
    def plan(self) -> MemoryPlan:
        """As of vLLM 0.8: with its larger slots, and nothing kept back for CUDA graphs."""
        found = plan_of(self.demand)
        assert found is not None
        slots = found.adapters.reserved + self.slots * EXTRA_VOCABULARY[self.model]
        return replace(found, adapters=replace(found.adapters, reserved=slots), graphs=0, graphs_most=0)


def starts() -> Iterator[Start]:
    with (Path(__file__).parent / "published_memory.csv").open() as file:
        for row in csv.DictReader(file):
            loaded, tokens, refused = row["loaded_gib"], row["kv_tokens"], row["refused_kv_gib"]
            yield Start(
                model=row["model"],
                slots=int(row["max_loras"]),
                rank=int(row["rank"]),
                loaded_gib=float(loaded) if loaded else None,
                kv_tokens=int(tokens) if tokens else None,
                refused_kv_gib=float(refused) if refused else None,
            )


STARTS = tuple(starts())


@pytest.fixture(scope="module")
def planned() -> dict[Start, MemoryPlan]:
    """Plans of all starts, calibrated by one log of each model: 16 slots of rank 16."""
    one = {start.model: start for start in STARTS if (start.slots, start.rank) == (16, 16)}
    found = {model: calibration_of(start.plan, start.log) for model, start in one.items()}
    return {start: start.plan.corrected(found[start.model]) for start in STARTS}


def test_all_published_starts_are_there() -> None:
    assert len(STARTS) == 84
    assert sum(start.kv_tokens is not None for start in STARTS) == 65
    assert sum(start.refused_kv_gib is not None for start in STARTS) == 8


def test_weights_and_slots_are_what_the_logs_say(planned: dict[Start, MemoryPlan]) -> None:
    for start, plan in planned.items():
        for found in (plan, start.plan) if start.loaded_gib is not None else ():
            loaded = (found.weights + found.adapters.reserved) / GIB
            assert loaded == pytest.approx(start.loaded_gib, rel=0.015), (start, found.measured)


def test_the_kv_cache_is_what_the_logs_say(planned: dict[Start, MemoryPlan]) -> None:
    most = {model: max(s.kv_tokens or 0 for s in STARTS if s.model == model) for model in LONGEST}
    errors = {}
    for start, plan in planned.items():
        if start.kv_tokens is not None:
            error = abs(plan.kv_tokens / start.kv_tokens - 1)
            errors[start] = error
            # Little that is left differs by more: the same bytes are a larger share of it.
            much = start.kv_tokens >= 0.3 * most[start.model]
            assert error <= 0.03 if much else error <= 0.15, (start, error)
    assert sorted(errors.values())[len(errors) // 2] <= 0.01


def test_what_did_not_start_is_refused_and_nothing_else(planned: dict[Start, MemoryPlan]) -> None:
    for start, plan in planned.items():
        assert (plan.verdict == "does not fit") == (start.kv_tokens is None), start
        if start.refused_kv_gib is not None:
            left = (plan.kv_minimum + plan.spare) / GIB
            assert left == pytest.approx(start.refused_kv_gib, abs=0.5), start


def test_without_a_log_the_estimates_are_near(planned: dict[Start, MemoryPlan]) -> None:
    """Context, kernels and the largest step, of 63 GiB: see `_overhead` and `_activations`."""
    for start, plan in planned.items():
        assert abs(start.plan.spare - plan.spare) < 0.25 * GIB, start
