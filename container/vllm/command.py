"""The container's settings as vLLM's command line and environment (flags of vLLM 0.32.0)."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from container.gateway.engine.backend import EngineLaunch
from container.gateway.engine_arguments import command_line
from container.gateway.settings import Settings
from container.vllm.backend import VllmBackend
from container.vllm.flags import FLAGS
from container.vllm.options import host_adapters, vllm_arguments
from container.vllm.settings_check import check_settings

#: The entry points through which vLLM finds `container.vllm.resolver` and `container.vllm.routes`.
RESOLVER_PLUGIN = "adapter_store_resolver"
ROUTES_PLUGIN = "adapter_store_routes"


def vllm_launch(settings: Settings) -> EngineLaunch:
    """Return the launch of vLLM, for the installed build of vLLM.

    Raises `SettingsError` for settings that vLLM does not support.
    """
    check_settings(settings, os.environ)
    on_cpu = _is_cpu_build()
    passed_on = command_line(settings.engine_arguments, FLAGS)
    return EngineLaunch(
        command=(sys.executable, *vllm_arguments(settings, passed_on, on_cpu=on_cpu)),
        environment=vllm_environment(settings, os.environ, on_cpu=on_cpu),
        connect=partial(
            VllmBackend,
            base_model=settings.model_id,
            max_input_tokens=settings.max_input_tokens,
            default_new_tokens=settings.default_new_tokens,
            cache=settings.adapter_cache_dir,
            resident=host_adapters(settings),
            tool_call_parser=settings.tool_call_parser,
        ),
    )


def vllm_environment(settings: Settings, inherited: Mapping[str, str], *, on_cpu: bool) -> dict[str, str]:
    """Return the engine's environment: the container's, with vLLM's variables."""
    environment = dict(inherited) | {
        "ADAPTER_BUCKET": settings.adapter_bucket,
        "ADAPTER_CACHE_DIR": str(settings.adapter_cache_dir),
        # Only these of the installed plugins: the others download from sources that clients choose.
        "VLLM_PLUGINS": f"{RESOLVER_PLUGIN},{ROUTES_PLUGIN}",
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
        if sys.prefix != sys.base_prefix:
            # What vLLM finds out about a model's class in a separate process, 17 s on two cores, is kept
            # with the virtual environment whose packages it describes: HOME is a new folder at each start.
            cache = Path(sys.prefix) / "cache"
            environment["VLLM_CACHE_ROOT"] = str(cache / "vllm")
            # The compiled function of `container.vllm.cpu_kernels`.
            environment["NUMBA_CACHE_DIR"] = str(cache / "numba")
    return environment


def _is_cpu_build() -> bool:
    try:
        version("vllm-cpu")
    except PackageNotFoundError:
        return False
    return True
