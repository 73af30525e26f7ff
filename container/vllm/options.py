"""The flags of vLLM 0.32.0 that the container sets, and its whole command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from adapters.engines import vllm
from container.gateway.settings import Settings, SettingsError

#: Seconds in which vLLM finishes running requests after SIGTERM; the default aborts them.
SHUTDOWN_TIMEOUT = 25
#: On a processor without bfloat16 instructions float32 has three times the throughput (AVX2, a model of 3 M
#: parameters), and the small models that run on a CPU fit in memory either way.
CPU_DTYPE = "float32"
#: The classes of vLLM's worker, which reports and pins resident adapters.
CPU_WORKER = "container.vllm.cpu_worker.CpuAdapterWorker"
GPU_WORKER = "container.vllm.gpu_worker.GpuAdapterWorker"


@dataclass(frozen=True)
class Option:
    """A flag that the container sets."""

    values: Callable[[Settings], Sequence[str] | None]
    """The words after the flag; None leaves the flag out."""
    variable: str | None = None
    """The container's variable that decides on it; None if nothing does."""


def slot_rank(settings: Settings) -> int:
    """Return the rank of vLLM's slots for adapters of up to `max_adapter_rank`; raises `SettingsError`."""
    rank = vllm.slot_rank(settings.max_adapter_rank)
    if rank is None:
        given = str(settings.max_adapter_rank)
        raise SettingsError("MAX_ADAPTER_RANK", given, f"vLLM serves ranks up to {vllm.RULES.max_rank}")
    return rank


def host_adapters(settings: Settings) -> int:
    """Return the number of adapters in host memory, those in slots included."""
    return settings.max_cpu_adapters or settings.max_active_adapters


def _always(*words: str) -> Callable[[Settings], Sequence[str]]:
    return lambda _: words


#: By name, in the order of the command line.
OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        "host": Option(_always("127.0.0.1")),
        "port": Option(lambda settings: (str(settings.engine_port),)),
        "model": Option(
            lambda settings: (str(settings.mounted_model or settings.model_id),), variable="HF_MODEL_ID"
        ),
        "served-model-name": Option(lambda settings: (settings.model_id,), variable="HF_MODEL_ID"),
        "tensor-parallel-size": Option(lambda settings: (str(settings.gpus),), variable="SM_NUM_GPUS"),
        "max-model-len": Option(
            lambda settings: (str(settings.max_total_tokens),), variable="MAX_TOTAL_TOKENS"
        ),
        # More never arrive: the gateway queues them. It sends further requests to load adapters, to check
        # vLLM's health, and to repeat a probe.
        "max-num-seqs": Option(
            lambda settings: (str(settings.max_concurrent_requests + settings.max_cold_loads + 2),),
            variable="MAX_CONCURRENT_REQUESTS",
        ),
        "enable-lora": Option(_always()),
        # An adapter without a slot has to be swapped in before its requests can run.
        "max-loras": Option(
            lambda settings: (str(settings.max_active_adapters),), variable="MAX_ACTIVE_ADAPTERS"
        ),
        # Those in slots and more: an adapter that has left host memory is read and parsed again, in the loop
        # that generates for all requests. For 40 MiB that takes half a second of processor time, its pages in
        # memory or not (benchmarks/adapter_parsing.py). From host memory to a slot it is copied.
        "max-cpu-loras": Option(
            lambda settings: (str(host_adapters(settings)),), variable="MAX_CPU_ADAPTERS"
        ),
        # Every slot has this rank, whatever the adapter's; memory and time grow with it.
        "max-lora-rank": Option(lambda settings: (str(slot_rank(settings)),), variable="MAX_ADAPTER_RANK"),
        # Sampling parameters come from the request alone, not from the base model's generation config.
        "generation-config": Option(_always("vllm")),
        "shutdown-timeout": Option(_always(str(SHUTDOWN_TIMEOUT))),
        # vLLM's own metrics are not scraped behind the gateway; collecting them takes time in each step.
        "disable-log-stats": Option(_always()),
        # The gateway has the access log; vLLM logs no requests by default.
        "uvicorn-log-level": Option(_always("warning")),
        "disable-uvicorn-access-log": Option(_always()),
        "revision": Option(
            lambda settings: _if_set(None if settings.mounted_model else settings.model_revision),
            variable="HF_MODEL_REVISION",
        ),
        "quantization": Option(lambda settings: _if_set(settings.quantize), variable="HF_MODEL_QUANTIZE"),
        # Slots for these modules only. For q_proj and v_proj of a 7B model they have a quarter of the size;
        # on a CPU with 20 clients the throughput was 1.5 times as high. The resolver refuses adapters that
        # change other modules.
        "lora-target-modules": Option(
            lambda settings: None if settings.target_modules is None else settings.target_modules.split(","),
            variable="ADAPTER_TARGET_MODULES",
        ),
        # Both or neither: with a parser vLLM decides on a call only if it is allowed to.
        "enable-auto-tool-choice": Option(
            lambda settings: None if settings.tool_call_parser is None else (), variable="TOOL_CALL_PARSER"
        ),
        "tool-call-parser": Option(
            lambda settings: _if_set(settings.tool_call_parser), variable="TOOL_CALL_PARSER"
        ),
        "dtype": Option(lambda settings: _if_set(settings.dtype), variable="DTYPE"),
        "trust-remote-code": Option(
            lambda settings: () if settings.trust_remote_code == "true" else None,
            variable="HF_MODEL_TRUST_REMOTE_CODE",
        ),
    }
)


def vllm_arguments(settings: Settings, passed_on: Sequence[str] = (), *, on_cpu: bool) -> tuple[str, ...]:
    """Return the arguments after the Python interpreter.

    `passed_on`: the words of the stage's own flags. They do not repeat one of `OPTIONS`.
    """
    # The console script `vllm` of the CPU build does not start; the module does in both builds.
    arguments = ["-m", "vllm.entrypoints.openai.api_server"]
    for name, option in OPTIONS.items():
        values = option.values(settings)
        if values is not None:
            arguments += [f"--{name}", *values]
    arguments += ["--worker-cls", CPU_WORKER if on_cpu else GPU_WORKER]
    if on_cpu:
        if settings.dtype is None:
            arguments += ["--dtype", CPU_DTYPE]
        # With LoRA the CPU build compiles nothing anyway.
        arguments += ["--enforce-eager"]
    return (*arguments, *passed_on)


def _if_set(value: str | None) -> Sequence[str] | None:
    return None if value is None else (value,)
