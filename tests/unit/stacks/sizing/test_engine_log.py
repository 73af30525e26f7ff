from dataclasses import replace

import pytest

from stacks.sizing.demand import Demand
from stacks.sizing.engine_log import EngineLog, calibration_of, read_engine_log
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.gpu_memory import MemoryPlan, plan_of
from stacks.sizing.instances import INSTANCE_TYPES
from stacks.sizing.known_models import KNOWN_MODELS
from stacks.sizing.memory_parts import GIB

# As vLLM 0.32.0 formats them: v1/worker/gpu_model_runner.py, v1/worker/gpu_worker.py, v1/core/kv_cache_utils.py.
VLLM_0_32 = """\
(EngineCore pid=163) INFO 05-06 20:59:57 [default_loader.py:430] Loading weights took 24.84 seconds
(EngineCore pid=163) INFO 05-06 20:59:59 [gpu_model_runner.py:5150] Model loading took 14.11 GiB memory and 31.657031 seconds
(EngineCore pid=163) INFO 05-06 21:00:20 [gpu_model_runner.py:6475] Estimated CUDA graph memory: 0.73 GiB total
(EngineCore pid=163) INFO 05-06 21:00:21 [gpu_worker.py:760] Available KV cache memory: 4.63 GiB
(EngineCore pid=163) INFO 05-06 21:00:21 [kv_cache_utils.py:2328] GPU KV cache size: 37,920 tokens, Maximum concurrency for 4,096 tokens per request: 9.26x
(EngineCore pid=163) INFO 05-06 21:00:59 [gpu_model_runner.py:6582] Graph capturing finished in 38 secs, took 0.91 GiB
"""
# Of a published log (see test_published_memory.py), 64 slots of rank 16.
VLLM_0_8 = """\
INFO 05-19 18:42:50 [loader.py:458] Loading weights took 15.64 seconds
INFO 05-19 18:42:50 [gpu_model_runner.py:1347] Model loading took 20.8738 GiB and 16.130590 seconds
INFO 05-19 18:44:01 [kv_cache_utils.py:634] GPU KV cache size: 256,640 tokens
INFO 05-19 18:44:01 [kv_cache_utils.py:637] Maximum concurrency for 131,072 tokens per request: 1.96x
INFO 05-19 18:49:07 [gpu_model_runner.py:1686] Graph capturing finished in 306 secs, took 3.32 GiB
"""
VLLM_REFUSED = """\
INFO 05-19 18:42:50 [gpu_model_runner.py:1347] Model loading took 38.5145 GiB and 16.130590 seconds
ERROR 05-19 18:43:42 [core.py:396] ValueError: To serve at least one request with the models's max seq len (131072), (16.00 GiB KV cache is needed, which is larger than the available KV cache memory (14.01 GiB). Based on the available memory,  Try increasing `gpu_memory_utilization`
"""
# As LoRAX formats them (server/lorax_server/models/flash_causal_lm.py, warmup; launcher/src/main.rs).
LORAX = """\
2026-05-06T20:59:57.551Z  INFO lorax_launcher: flash_causal_lm.py:1294 Pre warmup cuda memory: 7.80 GB
2026-05-06T20:59:58.551Z  INFO lorax_launcher: flash_causal_lm.py:1366 Memory remaining for kv cache: 5521.25 MB
2026-05-06T20:59:58.551Z  INFO lorax_launcher: flash_causal_lm.py:1369 num kv blocks: 2622, num kv tokens: 41952
2026-05-06T20:59:58.660Z  INFO lorax_router: router/src/main.rs:426: Setting max batch total tokens to 41952
"""


def planned(engine: str, slots: int = 8, **changes: object) -> MemoryPlan:
    demand = Demand(
        shape=KNOWN_MODELS["mistralai/Mistral-7B-Instruct-v0.1"],
        instance=INSTANCE_TYPES["ml.g5.xlarge"],
        engine=engine,
        dtype=None,
        quantize=None,
        tensor_parallel=1,
        max_input_tokens=1024,
        max_total_tokens=4096,
        max_num_seqs=131,
        max_adapter_rank=16,
        max_active_adapters=slots,
        adapter_target_modules=None,
        adapter_memory_fraction=0.1,
    )
    found = plan_of(replace(demand, **changes))  # type: ignore[arg-type]
    assert found is not None
    return found


def calibrated(plan: MemoryPlan, log: EngineLog) -> MemoryPlan:
    return plan.corrected(calibration_of(plan, log))


@pytest.mark.parametrize(
    ("text", "engine", "loaded", "tokens", "left", "graphs"),
    [
        (VLLM_0_32, "vllm", 14.11, 37_920, 4.63, 0.73),
        (VLLM_0_8, "vllm", 20.8738, 256_640, None, 0),
        (VLLM_REFUSED, "vllm", 38.5145, None, 14.01, 0),
        (LORAX, "lorax", None, 41_952, None, 0),
    ],
    ids=["vLLM 0.32", "vLLM 0.8", "vLLM refuses to start", "LoRAX"],
)
def test_a_log_is_read(
    text: str, engine: str, loaded: float | None, tokens: int | None, left: float | None, graphs: float
) -> None:
    def size(gib: float | None) -> int | None:
        return None if gib is None else int(gib * GIB)

    expected = EngineLog(loaded=size(loaded), kv_tokens=tokens, kv_bytes=size(left), graphs=int(graphs * GIB))
    assert read_engine_log(text, engine) == expected
    # As CloudWatch and terminals have it.
    assert read_engine_log(text.replace("\n", "\r\n"), engine) == expected


def test_of_several_starts_the_last_is_read() -> None:
    assert read_engine_log(VLLM_0_8 + VLLM_0_32, "vllm").kv_tokens == 37_920


def test_a_start_that_failed_after_one_that_did_not_is_the_one_that_is_read() -> None:
    assert read_engine_log(VLLM_0_8 + VLLM_REFUSED, "vllm") == read_engine_log(VLLM_REFUSED, "vllm")


@pytest.mark.parametrize(
    ("text", "engine", "said"),
    [
        ("", "vllm", "the last start in this log has no line with the size of vLLM's KV cache: take the whole log of a start"),
        ("GPU KV cache size: many tokens\x00\x1b[0m\ufffd", "vllm", "the last start in this log has no line with the size of vLLM's"),
        ("KV cache size: ,,, tokens", "vllm", "the last start in this log has no line with the size of vLLM's"),
        ("Available KV cache memory: 1.2.3 GiB", "vllm", "the last start in this log has no line with the size of vLLM's"),
        (LORAX, "vllm", "this is a log of LoRAX, not of vLLM: give one of vLLM"),
        (VLLM_0_32, "lorax", "this is a log of vLLM, not of LoRAX: give one of LoRAX"),
        (VLLM_REFUSED, "lorax", "this is a log of vLLM, not of LoRAX: give one of LoRAX"),
    ],
)  # fmt: skip
def test_what_is_no_log_is_refused_in_a_sentence(text: str, engine: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        read_engine_log(text, engine)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("text", "engine"), [(VLLM_0_32, "vllm"), (LORAX, "lorax")])
def test_a_calibrated_plan_has_the_kv_cache_of_the_log(text: str, engine: str) -> None:
    log = read_engine_log(text, engine)
    found = calibrated(planned(engine), log)
    assert found.measured
    assert log.kv_tokens is not None
    assert abs(found.kv_tokens - log.kv_tokens) <= MEMORY[engine].block_tokens
    assert found.needed + found.spare == found.available
    if log.loaded is not None:
        assert found.weights + found.adapters.reserved == log.loaded
        assert found.graphs == found.graphs_most == log.graphs
        assert "(measured)" in found.arithmetic()[2]


def test_a_calibration_holds_for_other_slots() -> None:
    log = read_engine_log(VLLM_0_32, "vllm")
    calibration = calibration_of(planned("vllm"), log)
    other = plan_of(planned("vllm", slots=32).demand, calibration)
    assert other is not None
    # A slot of rank 16 has 80 MiB, a token 128 KiB.
    assert log.kv_tokens is not None
    assert abs(log.kv_tokens - 24 * 640 - other.kv_tokens) <= 16


def test_a_start_that_failed_calibrates_too() -> None:
    text = "Model loading took 18.80 GiB memory and 9 seconds\nAvailable KV cache memory: -0.35 GiB\n"
    found = calibrated(planned("vllm", slots=64), read_engine_log(text, "vllm"))
    assert found.verdict == "does not fit"
    assert (found.kv_minimum + found.spare) / GIB == pytest.approx(-0.35, abs=1e-6)


def test_a_log_of_another_model_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^in this log the model takes 20\.9 GiB of a GPU, in the plan 14\.1 GiB, 0\.6 "
    ):
        calibrated(planned("vllm"), read_engine_log(VLLM_0_8, "vllm"))
