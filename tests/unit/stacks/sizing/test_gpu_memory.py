from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adapters.engines.registry import ENGINES
from stacks.sizing.demand import Demand
from stacks.sizing.engines.vllm import captured_sizes, slot_bytes
from stacks.sizing.gpu_memory import MemoryPlan, plan_of, tensor_parallel_problem
from stacks.sizing.instances import INSTANCE_TYPES
from stacks.sizing.known_models import KNOWN_MODELS, known_shape
from stacks.sizing.memory_parts import GIB, adapter_bytes, weight_bytes
from stacks.sizing.model_shape import ModelShape
from stacks.sizing.remedies import memory_problem

MISTRAL = "mistralai/Mistral-7B-Instruct-v0.1"
LLAMA_13B = "meta-llama/Llama-2-13b-hf"


def shape(name: str) -> ModelShape:
    found = known_shape(name)
    assert found is not None
    return found


def planned(model: str = MISTRAL, instance: str = "ml.g5.xlarge", **changes: object) -> MemoryPlan:
    """With the stage config's defaults."""
    place = INSTANCE_TYPES[instance]
    arguments: dict[str, object] = {
        "shape": shape(model),
        "instance": place,
        "engine": "lorax",
        "dtype": None,
        "quantize": None,
        "tensor_parallel": 1,
        "max_input_tokens": 1024,
        "max_total_tokens": 4096,
        "max_num_seqs": 131,
        "max_adapter_rank": 64,
        "max_active_adapters": 64,
        "adapter_target_modules": None,
        "adapter_memory_fraction": 0.1,
    }
    found = plan_of(Demand(**(arguments | changes)))  # type: ignore[arg-type]
    assert found is not None
    return found


# Anchors: what is known from elsewhere.


def test_the_seed_articles_stage_fits() -> None:
    found = planned()
    assert found.verdict == "fits"
    assert memory_problem(found) is None
    assert found.weights / GIB == pytest.approx(13.5, abs=0.05)
    assert found.kv_per_token == 128 * 1024
    assert found.kv_tokens == pytest.approx(42_000, rel=0.05)
    assert found.adapters.resident == 7


def test_13b_in_16_bits_does_not_fit_24_gb_and_quantized_it_does() -> None:
    assert planned(LLAMA_13B).verdict == "does not fit"
    assert planned(LLAMA_13B, quantize="bitsandbytes-nf4").verdict != "does not fit"


def test_64_of_vllms_slots_of_rank_64_take_21_gb_beside_a_7b_model() -> None:
    found = planned(engine="vllm")
    assert found.adapters.reserved / 1e9 == pytest.approx(21.5, abs=0.1)
    assert found.verdict == "does not fit"
    few = ("q_proj", "v_proj")
    assert planned(engine="vllm", adapter_target_modules=few).verdict == "does not fit"
    assert planned(engine="vllm", adapter_target_modules=few, max_active_adapters=50).verdict == "tight"


@pytest.mark.parametrize(
    ("architecture", "modules", "experts", "measured"),
    [
        ("Mistral", None, 1, 622592),
        ("Mistral", ["q_proj", "v_proj"], 1, 163840),
        ("Llama", None, 1, 786432),
        ("Qwen2", None, 1, 622592),
        ("Qwen3", None, 1, 786432),
        ("Gemma2", None, 1, 622592),
        ("Phi3", None, 1, 688128),
        ("Mixtral", None, 4, 1999360),
    ],
)
def test_a_slot_takes_what_vllm_allocates(
    architecture: str, modules: list[str] | None, experts: int, measured: int
) -> None:
    """`measured` is the sum of the tensors in vLLM 0.32.0 with 4 slots of rank 8, for models of this shape."""
    tiny = ModelShape(
        architecture=f"{architecture}ForCausalLM",
        parameters=1,
        layers=2,
        hidden_size=256,
        intermediate_size=768,
        attention_heads=4,
        kv_heads=2,
        head_dim=64,
        vocab_size=1024,
        dtype="bfloat16",
        experts=experts,
    )
    assert 4 * slot_bytes(tiny, 8, modules) == measured


def test_of_a_slot_only_half_is_shared_out_among_gpus() -> None:
    one, four = (slot_bytes(shape(MISTRAL), 64, None, gpus) for gpus in (1, 4))
    assert one / 4 < four < one


def test_an_adapters_file_is_as_large_as_peft_writes_it() -> None:
    # r16 on all linear layers: 84 MB; r8 on q and v: 6.8 MB.
    assert adapter_bytes(shape(MISTRAL), 16, None) == 83_886_080
    assert adapter_bytes(shape(MISTRAL), 8, ["q_proj", "v_proj"]) == 6_815_744


def test_quantization_leaves_embeddings_in_16_bits() -> None:
    model = shape(MISTRAL)
    nf4 = weight_bytes(model, "lorax", "bitsandbytes-nf4")
    assert nf4 is not None
    assert (
        nf4
        == round((model.parameters - model.embedding_parameters) * 4.5 / 8) + model.embedding_parameters * 2
    )
    assert weight_bytes(replace(model, stored_bytes=5), "lorax", "awq") == 5
    assert weight_bytes(model, "vllm", "no-such-quantization") is None


def test_a_quantization_of_unknown_size_gives_no_plan() -> None:
    found = planned()
    assert plan_of(replace(found.demand, quantize="no-such-quantization")) is None


# The parts beside weights and slots.


@pytest.mark.parametrize(
    ("rank", "modules", "slots", "tokens"),
    [
        (8, None, 1, 38_376),
        (8, None, 50, 22_696),
        (16, None, 8, 33_576),
        (16, None, 50, 6_696),
        (64, None, 8, 18_216),
        (16, ("q_proj", "v_proj"), 50, 31_496),
    ],
)
def test_the_kv_cache_of_the_articles_model_on_vllm(
    rank: int, modules: tuple[str, ...] | None, slots: int, tokens: int
) -> None:
    """A slot of rank 16 has 80 MiB on all layers, 18 MiB on q and v; a token has 128 KiB."""
    found = planned(
        engine="vllm", max_adapter_rank=rank, adapter_target_modules=modules, max_active_adapters=slots
    )
    assert found.kv_tokens == pytest.approx(tokens, abs=16)
    assert found.kv_blocks * 16 == found.kv_tokens
    # 0.3 GiB of CUDA graphs.
    assert found.kv_tokens - found.kv_tokens_least == pytest.approx(0.3 * GIB / found.kv_per_token, abs=16)


@pytest.mark.parametrize(
    ("fraction", "rank", "modules", "resident"),
    [
        (0.1, 8, None, 56), (0.1, 16, None, 28), (0.1, 64, None, 7), (0.2, 16, None, 56), (0.2, 64, None, 14),
        (0.1, 8, ("q_proj", "v_proj"), 347), (0.1, 64, ("q_proj", "v_proj"), 43),
    ],
)  # fmt: skip
def test_the_adapters_that_lorax_keeps_on_the_gpu(
    fraction: float, rank: int, modules: tuple[str, ...] | None, resident: int
) -> None:
    changes = {"max_adapter_rank": rank, "adapter_target_modules": modules, "max_active_adapters": 1024}
    found = planned(adapter_memory_fraction=fraction, **changes)
    assert found.adapters.resident == resident
    # Whatever their number and size.
    assert found.kv_tokens == planned(adapter_memory_fraction=fraction).kv_tokens


def test_cuda_graphs_take_twice_as_much_with_adapters() -> None:
    without, with_slots = (planned(engine="vllm", max_active_adapters=slots) for slots in (0, 1))
    assert without.graphs / GIB == without.graphs_most / GIB == pytest.approx(0.6)
    assert with_slots.graphs / GIB == pytest.approx(1.2)
    assert with_slots.graphs_most / GIB == pytest.approx(1.5)
    assert "engine (estimated) 0.6 GiB, CUDA graphs 1.2 to 1.5 GiB, its" in with_slots.arithmetic()[2]
    assert "CUDA graphs 0.6 GiB, its" in without.arithmetic()[2]
    assert (without.adapters.reserved, without.host_adapters, without.verdict) == (0, 0, "fits")
    assert planned().graphs_most == 0


def test_near_the_edge_the_graphs_make_a_plan_tight() -> None:
    enough, few = (
        planned(engine="vllm", max_adapter_rank=16, max_total_tokens=2048, max_active_adapters=slots)
        for slots in (38, 39)
    )
    assert (enough.verdict, few.verdict) == ("fits", "tight")
    assert few.sequences >= 4
    assert few.spare > 0.05 * few.available
    problem = memory_problem(few)
    assert problem is not None
    assert "has 1.4 GiB to spare" in problem
    assert "CUDA graphs 1.2 to 1.5 GiB" in problem
    assert "write engine.max_active_adapters: 38" in problem


@pytest.mark.parametrize(("sequences", "sizes"), [(1, 2), (2, 3), (4, 4), (131, 35), (256, 51), (2048, 51)])
def test_the_batch_sizes_of_cuda_graphs_follow_the_sequences(sequences: int, sizes: int) -> None:
    assert captured_sizes(sequences) == sizes


def test_logits_grow_with_the_sequences() -> None:
    default, many = (planned(engine="vllm", max_num_seqs=n, max_active_adapters=1) for n in (131, 1131))
    assert many.activations - default.activations == pytest.approx(1000 * 32_000 * 14.4, abs=2)
    # LoRAX computes them for its longest prefill.
    assert planned(max_num_seqs=131).activations == planned(max_num_seqs=1131).activations


def test_a_cpus_engine_takes_four_bytes_for_a_number() -> None:
    half, single = (planned(engine="vllm", instance="ml.g6e.xlarge", dtype=d) for d in (None, "float32"))
    for part in ("weights", "kv_per_token", "host_adapters"):
        assert getattr(single, part) == 2 * getattr(half, part)
    assert single.adapters.reserved == 2 * half.adapters.reserved
    assert single.arithmetic()[1].startswith("weights 7.24 B × 4 bytes")


def test_a_request_has_whole_blocks() -> None:
    odd, even = (planned(engine="vllm", max_active_adapters=8, max_total_tokens=n) for n in (4081, 4096))
    assert odd.kv_minimum == even.kv_minimum


def test_the_hosts_memory_has_each_adapter_and_one_more() -> None:
    found = planned(engine="vllm", max_adapter_rank=16, max_active_adapters=50, max_cpu_adapters=50)
    assert found.host_adapters == 51 * 83_886_080
    assert planned().host_adapters == 0
    # Each GPU's process has all of them.
    given = {"engine": "vllm", "max_cpu_adapters": 64}
    assert (
        planned(instance="ml.g5.12xlarge", tensor_parallel=4, **given).host_adapters
        == 4 * planned(**given).host_adapters
    )


@pytest.mark.parametrize(
    ("instance", "rank", "gpus", "adapters"),
    [
        # 16 GiB less 4 of the system and 3 of the GPU's process, half of it, by 80 MiB; one is being loaded.
        ("ml.g5.xlarge", 16, 1, 56),
        # Larger than what is planned, and vLLM wants no fewer than slots.
        ("ml.g5.xlarge", 64, 1, 50),
        ("ml.g5.12xlarge", 16, 4, 280),
        ("ml.p5.48xlarge", 8, 1, 26_123),
    ],
)
def test_half_of_the_hosts_memory_beside_the_engine_is_planned_for_adapters(
    instance: str, rank: int, gpus: int, adapters: int
) -> None:
    found = planned(
        instance=instance,
        engine="vllm",
        max_adapter_rank=rank,
        max_active_adapters=50,
        tensor_parallel=gpus,
    )
    assert found.engine.host_slots(found.demand) == adapters


# Messages.


def test_the_arithmetic_has_a_line_for_each_part() -> None:
    assert planned().arithmetic() == (
        "A10G 22.06 GiB",
        "weights 7.24 B × 2 bytes = 13.5 GiB",
        "engine (estimated) 0.6 GiB, its largest step 0.4 GiB",
        "adapters 10% of the memory = 2.2 GiB, room for 7",
        "KV cache 8,192 tokens × 131,072 bytes = 1.0 GiB at least",
        "left 4.4 GiB, so that the KV cache holds 42,352 tokens, or 10 times 4,096",
    )
    shared = planned(
        "meta-llama/Llama-3.1-70B", "ml.g5.48xlarge", engine="vllm", tensor_parallel=8
    ).arithmetic()
    assert shared[0] == "A10G 22.06 GiB, of which vLLM uses 92% = 20.3 GiB"
    assert shared[1] == "weights 70.55 B × 2 bytes / 8 GPUs = 16.4 GiB"
    assert shared[3].startswith("adapters 64 slots of rank 64 on all modules = ")
    assert shared[5].startswith("missing ")


def test_a_refusal_tells_the_sums_and_what_to_write() -> None:
    problem = memory_problem(planned(engine="vllm"))
    assert problem is not None
    assert problem.startswith(
        "the model needs 36.1 GiB of each GPU of ml.g5.xlarge, of which vllm may use 20.3 ("
    )
    assert problem.endswith(
        "): write engine.max_active_adapters: 13; or engine.max_adapter_rank: 8; "
        "or endpoint.instance_type: ml.g6e.xlarge"
    )


def test_number_of_adapters_that_is_proposed_is_the_largest_that_fits() -> None:
    assert planned(engine="vllm", max_active_adapters=13).verdict != "does not fit"
    assert planned(engine="vllm", max_active_adapters=14).verdict == "does not fit"


def test_near_is_told_with_what_makes_it_fit() -> None:
    found = planned("meta-llama/Llama-2-7b-hf")
    problem = memory_problem(found)
    assert found.verdict == "tight"
    assert problem is not None
    assert "has 2.3 GiB to spare, with a KV cache for 3 sequence(s) of max_total_tokens 4096" in problem
    assert "max_total_tokens: 3072" in problem
    assert planned("meta-llama/Llama-2-7b-hf", max_total_tokens=3072).verdict == "fits"


def test_a_reservation_smaller_than_one_adapter_is_told() -> None:
    problem = memory_problem(planned(adapter_memory_fraction=0.005))
    assert problem is not None
    assert problem.startswith(
        "an adapter of rank 64 on all modules is larger than what adapter_memory_fraction keeps"
    )
    assert "adapter_memory_fraction: 0.02" in problem


def test_where_no_single_gpu_is_enough_several_are_proposed() -> None:
    problem = memory_problem(planned("meta-llama/Llama-2-70b-hf"))
    assert problem is not None
    assert problem.endswith("write endpoint.instance_type: ml.g6.48xlarge with engine.tensor_parallel: 8")


@pytest.mark.parametrize(
    ("model", "instance", "engine", "gpus", "problem"),
    [
        (MISTRAL, "ml.g5.12xlarge", "lorax", 4, None),
        (MISTRAL, "ml.g5.xlarge", "lorax", 2, "ml.g5.xlarge has 1 GPU(s): write 1"),
        (MISTRAL, "ml.g5.12xlarge", "lorax", 3, "3 GPUs cannot share the model's 32 attention heads: write 1, 2 or 4"),
        ("Qwen/Qwen2.5-7B", "ml.g5.48xlarge", "lorax", 7, "7 GPUs cannot share the model's 4 KV heads: write 1, 2 or 4"),
        ("Qwen/Qwen2.5-3B", "ml.g5.48xlarge", "vllm", 8, None),
        ("Qwen/Qwen2.5-3B", "ml.g5.48xlarge", "lorax", 8, "8 GPUs cannot share the model's 2 KV heads: write 1 or 2"),
    ],
)  # fmt: skip
def test_gpus_that_cannot_share_a_model_are_told(
    model: str, instance: str, engine: str, gpus: int, problem: str | None
) -> None:
    place = INSTANCE_TYPES[instance]
    assert tensor_parallel_problem(shape(model), place, engine, gpus) == problem
    if problem is not None:
        with pytest.raises(ValueError, match="GPU"):
            planned(model, instance, engine=engine, tensor_parallel=gpus)


# What must hold for all models, instances and settings.


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    engine = draw(st.sampled_from(list(ENGINES)))
    sized = [name for name, bits in ENGINES[engine].quantizations.items() if bits is not None]
    tokens = draw(st.integers(2, 32768))
    demand = Demand(
        shape=draw(st.sampled_from(list(KNOWN_MODELS.values()))),
        instance=draw(st.sampled_from(list(INSTANCE_TYPES.values()))),
        engine=engine,
        dtype=None,
        quantize=draw(st.sampled_from([None, *sized])),
        tensor_parallel=draw(st.sampled_from([1, 2, 4, 8])),
        max_input_tokens=draw(st.integers(1, tokens - 1)),
        max_total_tokens=tokens,
        max_num_seqs=draw(st.integers(2, 512)),
        max_adapter_rank=draw(st.integers(1, 128)),
        max_active_adapters=draw(st.integers(1, 1024)),
        adapter_target_modules=draw(st.sampled_from([None, ("q_proj", "v_proj"), ("down_proj",)])),
        adapter_memory_fraction=draw(st.floats(0, 0.99)),
    )
    assume(
        tensor_parallel_problem(demand.shape, demand.instance, demand.engine, demand.tensor_parallel) is None
    )
    return demand


def of(demand: Demand, **changes: object) -> MemoryPlan:
    found = plan_of(replace(demand, **changes))  # type: ignore[arg-type]
    assert found is not None
    return found


@given(demand=demands(), more=st.integers(1, 100))
def test_asking_for_more_never_frees_memory(demand: Demand, more: int) -> None:
    before = of(demand)
    for changes in (
        {"max_active_adapters": demand.max_active_adapters + more},
        {"max_adapter_rank": demand.max_adapter_rank + more},
        {"max_total_tokens": demand.max_total_tokens + more},
        {"max_input_tokens": demand.max_input_tokens + more},
        {"max_num_seqs": demand.max_num_seqs + more},
        {"dtype": "float32"},
        {"adapter_memory_fraction": demand.adapter_memory_fraction + more / 1000},
        {"adapter_target_modules": None},
    ):
        after = of(demand, **changes)
        assert after.needed >= before.needed, changes
        assert after.sequences <= before.sequences, changes


@given(demand=demands())
def test_parts_make_up_the_sum_and_cache_never_exceeds_gpu(demand: Demand) -> None:
    found = of(demand)
    assert found.needed + found.spare == found.available
    assert found.kv_tokens * found.kv_per_token <= found.available
    assert (found.verdict == "does not fit") == (found.spare < 0)
    assert found.kv_tokens_least <= found.kv_tokens
    if found.verdict == "fits":
        assert found.sequences >= 4
        assert not found.graphs_most or found.spare >= 1.5 * GIB


@given(demand=demands())
def test_quantizing_never_makes_the_weights_larger(demand: Demand) -> None:
    assert of(demand).weights <= of(demand, quantize=None).weights


@given(demand=demands())
def test_a_plan_that_fits_has_no_problem_and_another_has_one_line(demand: Demand) -> None:
    found = of(demand)
    problem = memory_problem(found)
    assert (problem is None) == (found.verdict == "fits")
    assert problem is None or "\n" not in problem
