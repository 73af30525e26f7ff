import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from adapters.engines.vllm import RANKS, RULES
from container.gateway.settings import Settings, SettingsError, read_settings
from container.vllm.command import vllm_environment, vllm_launch
from container.vllm.options import CPU_WORKER, GPU_WORKER, vllm_arguments
from container.vllm.settings_check import check_settings


def settings(**environment: str) -> Settings:
    return read_settings({"HF_MODEL_ID": "org/mistral", "ADAPTER_BUCKET": "bucket"} | environment)


def options(current: Settings, *, on_cpu: bool = False) -> dict[str, str]:
    """Each option with the word after it, which is another option if it has no value."""
    arguments = vllm_arguments(current, on_cpu=on_cpu)
    return dict(zip(arguments, (*arguments[1:], ""), strict=True))


@pytest.fixture
def model_dir(tmp_path: Path) -> str:
    (tmp_path / "config.json").write_text("{}")
    return str(tmp_path)


def test_only_the_gateway_can_reach_the_engine() -> None:
    found = options(settings(ENGINE_PORT="9000"))
    assert (found["--host"], found["--port"]) == ("127.0.0.1", "9000")


def test_the_lora_slots_follow_the_settings() -> None:
    found = options(settings(MAX_ACTIVE_ADAPTERS="50", MAX_ADAPTER_RANK="8"))
    assert "--enable-lora" in found
    assert (found["--max-loras"], found["--max-cpu-loras"], found["--max-lora-rank"]) == ("50", "50", "8")


@pytest.mark.parametrize(("rank", "engine_rank"), [("1", "1"), ("2", "8"), ("48", "64"), ("512", "512")])
def test_a_rank_is_rounded_up_to_one_that_vllm_has(rank: str, engine_rank: str) -> None:
    assert options(settings(MAX_ADAPTER_RANK=rank))["--max-lora-rank"] == engine_rank


def test_a_hub_model_is_fetched_at_its_revision() -> None:
    current = settings(HF_MODEL_REVISION="abc")
    found = options(current)
    assert (found["--model"], found["--served-model-name"], found["--revision"]) == (
        "org/mistral", "org/mistral", "abc",
    )  # fmt: skip
    assert "HF_HUB_OFFLINE" not in vllm_environment(current, {}, on_cpu=False)


def test_a_mounted_model_is_served_under_its_name_without_hub(model_dir: str) -> None:
    current = settings(SM_MODEL_DIR=model_dir, HF_MODEL_REVISION="abc")
    found = options(current)
    assert (found["--model"], found["--served-model-name"]) == (model_dir, "org/mistral")
    assert "--revision" not in found
    assert vllm_environment(current, {}, on_cpu=False)["HF_HUB_OFFLINE"] == "1"


def test_optional_settings_are_left_to_the_engine_when_absent() -> None:
    found = options(settings())
    assert not {"--quantization", "--dtype", "--trust-remote-code", "--revision"} & found.keys()
    found = options(settings(HF_MODEL_QUANTIZE="awq", DTYPE="float16", HF_MODEL_TRUST_REMOTE_CODE="true"))
    assert (found["--quantization"], found["--dtype"]) == ("awq", "float16")
    assert "--trust-remote-code" in found


def test_requests_under_way_are_finished_after_sigterm() -> None:
    assert options(settings())["--shutdown-timeout"] == "25"


def test_nothing_logs_requests() -> None:
    found = options(settings())
    assert "--disable-uvicorn-access-log" in found
    assert not {"--enable-log-requests", "--enable-log-outputs"} & found.keys()


def test_the_cpu_build_differs_in_speed_and_memory_only() -> None:
    on_gpu, on_cpu = (vllm_arguments(settings(), on_cpu=cpu) for cpu in (False, True))
    worker = tuple(CPU_WORKER if word == GPU_WORKER else word for word in on_gpu)
    assert on_cpu == (*worker, "--dtype", "float32", "--enforce-eager")
    gpu_environment, cpu_environment = (vllm_environment(settings(), {}, on_cpu=cpu) for cpu in (False, True))
    assert cpu_environment.items() >= gpu_environment.items()
    assert cpu_environment.keys() - gpu_environment.keys() == {
        "VLLM_CPU_KVCACHE_SPACE", "VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_CPU_OMP_THREADS_BIND",
        "OMP_NUM_THREADS", "TORCH_COMPILE_DISABLE", "VLLM_CACHE_ROOT", "NUMBA_CACHE_DIR",
    }  # fmt: skip
    assert int(cpu_environment["OMP_NUM_THREADS"]) >= 1


def test_host_memory_has_the_adapters_in_slots_at_least() -> None:
    assert options(settings(MAX_ACTIVE_ADAPTERS="50"))["--max-cpu-loras"] == "50"
    assert options(settings(MAX_CPU_ADAPTERS="500"))["--max-cpu-loras"] == "500"
    with pytest.raises(SettingsError, match="give 50 .MAX_ACTIVE_ADAPTERS. or more"):
        check_settings(settings(MAX_ACTIVE_ADAPTERS="50", MAX_CPU_ADAPTERS="49"), {})


def test_a_dtype_that_is_given_holds_on_a_cpu_too() -> None:
    assert options(settings(DTYPE="bfloat16"), on_cpu=True)["--dtype"] == "bfloat16"


def test_slots_can_be_kept_to_the_modules_that_adapters_change() -> None:
    assert "--lora-target-modules" not in vllm_arguments(settings(), on_cpu=False)
    arguments = vllm_arguments(settings(ADAPTER_TARGET_MODULES="q_proj,v_proj"), on_cpu=False)
    where = arguments.index("--lora-target-modules")
    assert arguments[where + 1 : where + 3] == ("q_proj", "v_proj")


def test_only_our_plugin_finds_adapters_and_nothing_phones_home() -> None:
    environment = vllm_environment(settings(), {"PATH": "/bin"}, on_cpu=False)
    assert environment["PATH"] == "/bin"
    assert environment["ADAPTER_BUCKET"] == "bucket"
    assert environment["VLLM_PLUGINS"] == "adapter_store_resolver,adapter_store_routes"
    assert environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert (environment["VLLM_NO_USAGE_STATS"], environment["DO_NOT_TRACK"]) == ("1", "1")


def test_code_beside_the_weights_is_not_run(model_dir: str) -> None:
    environment = vllm_environment(settings(SM_MODEL_DIR=model_dir), {}, on_cpu=False)
    assert not Path(environment["SAGEMAKER_MODEL_PATH"]).exists()


def test_the_engine_runs_on_the_same_python() -> None:
    command = vllm_launch(settings()).command
    assert Path(command[0]).name.startswith("python")
    assert command[1:3] == ("-m", "vllm.entrypoints.openai.api_server")


def vllm_literal(module: str, name: str) -> tuple[object, ...]:
    """A `Literal` or list of vLLM's, read without importing vLLM, which takes seconds."""
    found = find_spec("vllm")
    if found is None or found.origin is None:
        pytest.skip("vLLM is not installed")
    tree = ast.parse((Path(found.origin).parent / module).read_text())
    [value] = [
        node.value for node in tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]
    ]  # fmt: skip
    return tuple(ast.literal_eval(value.slice if isinstance(value, ast.Subscript) else value))


def test_ranks_and_quantizations_are_vllms_own() -> None:
    assert vllm_literal("config/lora.py", "MaxLoRARanks") == RANKS
    methods = "model_executor/layers/quantization/__init__.py"
    deprecated = set(vllm_literal(methods, "DEPRECATED_QUANTIZATION_METHODS"))
    assert set(vllm_literal(methods, "QuantizationMethods")) - deprecated == set(RULES.quantizations)


@pytest.mark.parametrize("method", ["", "nonsense", "bitsandbytes-nf4", "fbgemm_fp8"])
def test_a_quantization_that_vllm_does_not_know_is_refused_before_it_starts(method: str) -> None:
    with pytest.raises(SettingsError, match=f"^HF_MODEL_QUANTIZE is '{method}': leave it out, or give one"):
        vllm_launch(settings(HF_MODEL_QUANTIZE=method))
    vllm_launch(settings(HF_MODEL_QUANTIZE="fp8"))


def test_the_largest_rank_of_the_settings_is_one_that_vllm_has() -> None:
    with pytest.raises(SettingsError, match="MAX_ADAPTER_RANK"):
        settings(MAX_ADAPTER_RANK="513")
    assert options(settings(MAX_ADAPTER_RANK="512"))["--max-lora-rank"] == "512"


def test_vllms_sockets_have_short_paths() -> None:
    environment = vllm_environment(settings(), {"TMPDIR": "/very/long/" * 20}, on_cpu=True)
    assert len(environment["VLLM_RPC_BASE_PATH"]) < 107 - 37, "a uuid and a slash are added"
