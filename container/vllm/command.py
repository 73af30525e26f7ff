"""The container's settings as vLLM's command line and environment (flags of vLLM 0.32.0)."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from container.gateway.engine.backend import EngineLaunch
from container.gateway.settings import Settings
from container.vllm.backend import VllmBackend
from container.vllm.settings_check import check_settings, slot_rank

#: Seconds in which vLLM finishes running requests after SIGTERM; the default aborts them.
SHUTDOWN_TIMEOUT = 25
#: On a processor without bfloat16 instructions float32 has three times the throughput (AVX2, a model of 3 M
#: parameters), and the small models that run on a CPU fit in memory either way.
CPU_DTYPE = "float32"
#: The entry point through which vLLM finds `container.vllm.resolver`.
PLUGIN = "adapter_store_resolver"


def vllm_launch(settings: Settings) -> EngineLaunch:
    """Return the launch of vLLM, for the installed build of vLLM.

    Raises `SettingsError` for settings that vLLM does not support.
    """
    check_settings(settings, os.environ)
    on_cpu = _is_cpu_build()
    return EngineLaunch(
        command=(sys.executable, *vllm_arguments(settings, on_cpu=on_cpu)),
        environment=vllm_environment(settings, os.environ, on_cpu=on_cpu),
        connect=partial(
            VllmBackend,
            base_model=settings.model_id,
            max_input_tokens=settings.max_input_tokens,
            default_new_tokens=settings.default_new_tokens,
            cache=settings.adapter_cache_dir,
        ),
    )


def vllm_arguments(settings: Settings, *, on_cpu: bool) -> tuple[str, ...]:
    """Return the arguments after the Python interpreter."""
    model = settings.mounted_model or settings.model_id
    arguments = [
        # The console script `vllm` of the CPU build does not start; the module does in both builds.
        *("-m", "vllm.entrypoints.openai.api_server"),
        *("--host", "127.0.0.1", "--port", str(settings.engine_port)),
        *("--model", str(model), "--served-model-name", settings.model_id),
        *("--tensor-parallel-size", str(settings.gpus)),
        *("--max-model-len", str(settings.max_total_tokens)),
        # More never arrive: the gateway queues them. It sends further requests to load adapters and to check
        # vLLM's health.
        *("--max-num-seqs", str(settings.max_concurrent_requests + settings.max_cold_loads + 1)),
        "--enable-lora",
        # An adapter without a slot has to be swapped in before its requests can run.
        *("--max-loras", str(settings.max_active_adapters)),
        # Not more in host memory than on the GPU: filling a slot from disk is nearly as fast, and 64 adapters
        # of a 7B model already take several GB.
        *("--max-cpu-loras", str(settings.max_active_adapters)),
        # Every slot has this rank, whatever the adapter's; memory and time grow with it.
        *("--max-lora-rank", str(slot_rank(settings))),
        # Sampling parameters come from the request alone, not from the base model's generation config.
        *("--generation-config", "vllm"),
        *("--shutdown-timeout", str(SHUTDOWN_TIMEOUT)),
        # vLLM's own metrics are not scraped behind the gateway; collecting them takes time in each step.
        "--disable-log-stats",
        # The gateway has the access log; vLLM logs no requests by default.
        *("--uvicorn-log-level", "warning", "--disable-uvicorn-access-log"),
    ]
    if settings.model_revision is not None and settings.mounted_model is None:
        arguments += ["--revision", settings.model_revision]
    if settings.quantize is not None:
        arguments += ["--quantization", settings.quantize]
    if settings.target_modules is not None:
        # Slots for these modules only. For q_proj and v_proj of a 7B model they have a quarter of the size;
        # on a CPU with 20 clients the throughput was 1.5 times as high. The resolver refuses adapters that
        # change other modules.
        arguments += ["--lora-target-modules", *settings.target_modules.split(",")]
    dtype = settings.dtype or (CPU_DTYPE if on_cpu else None)
    if dtype is not None:
        arguments += ["--dtype", dtype]
    if settings.trust_remote_code == "true":
        arguments += ["--trust-remote-code"]
    if on_cpu:
        # With LoRA the CPU build compiles nothing anyway.
        arguments += ["--enforce-eager"]
    return tuple(arguments)


def vllm_environment(settings: Settings, inherited: Mapping[str, str], *, on_cpu: bool) -> dict[str, str]:
    """Return the engine's environment: the container's, with vLLM's variables."""
    environment = dict(inherited) | {
        "ADAPTER_BUCKET": settings.adapter_bucket,
        "ADAPTER_CACHE_DIR": str(settings.adapter_cache_dir),
        # Only this one of the installed plugins: the others download from sources that clients choose.
        "VLLM_PLUGINS": PLUGIN,
        # Without it vLLM never calls a resolver. It also enables vLLM's routes for loading adapters, which
        # only the gateway can reach.
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        # vLLM's SageMaker layer would run a model.py from the directory of the weights.
        "SAGEMAKER_MODEL_PATH": "/nonexistent",
        # For vLLM's sockets: a path has at most 107 characters, and TMPDIR may be longer.
        "VLLM_RPC_BASE_PATH": "/tmp",  # noqa: S108
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }
    if settings.region is not None:
        environment["AWS_DEFAULT_REGION"] = settings.region
    if settings.mounted_model is not None:
        environment["HF_HUB_OFFLINE"] = "1"
    if on_cpu:
        environment |= {
            # GB of memory for the KV cache; by default vLLM takes a share of the machine's memory.
            "VLLM_CPU_KVCACHE_SPACE": "1",
            # Run the model in the scheduler's process. By default it runs in a separate one, and the two wait
            # for each other in busy loops: on two cores that cost a sixth of the throughput, 12 s at the
            # start and 600 MB.
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            # vLLM's own binding needs the separate process. One core stays free for gateway and web server.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) - 1)),
            # vLLM compiles a small function for log probabilities at its first use: that takes 12 s on two
            # cores, and fails without a C++ compiler.
            "TORCH_COMPILE_DISABLE": "1",
        }
    return environment


def _is_cpu_build() -> bool:
    try:
        version("vllm-cpu")
    except PackageNotFoundError:
        return False
    return True
