"""The inference engine and the gateway before it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, ValidationInfo, field_validator, model_validator

from adapters.engines.registry import ENGINES
from adapters.names import check_module
from container.gateway.settings import Settings
from stacks.typed_yaml import KeyOf, Strict
from stacks.wording import stated


def _setting(name: str) -> Any:
    """Make a key with the default and the bounds of the container's setting `name`."""
    setting = Settings.model_fields[name]
    bounds = {sign: value for limit in setting.metadata for sign, value in asdict(limit).items()}
    return Field(setting.default, **bounds)


def _not_empty(modules: list[str]) -> list[str]:
    if not modules:
        raise ValueError("name a module, or leave the key out for all modules")
    return modules


Modules = Annotated[list[Annotated[str, AfterValidator(check_module)]], AfterValidator(_not_empty)]


class Engine(Strict):
    """The inference engine and its settings."""

    name: Annotated[str, KeyOf(ENGINES)] = "lorax"
    """The engine; its folder of `container/` has this name."""
    max_input_tokens: int = _setting("max_input_tokens")
    """Longest prompt, in tokens."""
    max_total_tokens: int = _setting("max_total_tokens")
    """Longest prompt and answer together, in tokens."""
    default_new_tokens: int = _setting("default_new_tokens")
    """Limit of new tokens for a request that sets none."""
    max_new_tokens: int = _setting("max_new_tokens")
    """Highest limit that a request may set, so that an answer ends within SageMaker's 60 s."""
    max_concurrent_requests: int = _setting("max_concurrent_requests")
    """Requests at the engine at once; more wait in the queue, see `max_queued_requests`."""
    max_adapter_rank: int = _setting("max_adapter_rank")
    """The largest rank of an adapter. LoRAX has kernels for ranks up to 128, vLLM up to 512."""
    adapter_target_modules: Modules | None = None
    """vLLM only: the modules that adapters may change, e.g. `[q_proj, v_proj]`. Every slot is reserved for
    all modules by default: 64 slots of rank 64 take about 21 GB beside a 7B model."""
    max_active_adapters: int = _setting("max_active_adapters")
    """Adapters in the engine's memory at once."""
    max_cpu_adapters: int | None = _setting("max_cpu_adapters")
    """vLLM only: adapters in the instance's memory at once, those in `max_active_adapters` slots included. By
    default as many of the largest rank as fit into half of the memory that the system and the engine leave,
    see [sizing.md](sizing.md#memory-of-the-host)."""
    adapter_memory_fraction: float = _setting("adapter_memory_fraction")
    """LoRAX only: share of each GPU's memory that is reserved for adapters."""
    tensor_parallel: int = _setting("gpus")
    """GPUs that share one model."""
    quantize: str | None = None
    """Quantization, by the engine's name for it, e.g. `awq` or `bitsandbytes-nf4`."""
    # The container takes float32, too, for CPUs; the memory check counts two bytes per weight.
    dtype: Literal["float16", "bfloat16"] | None = None
    """Type of the weights in memory; by default the one in the model's config."""
    trust_remote_code: bool = False
    """Allow Python code of the model's repository to run in the container."""
    tool_call_parser: str | None = None
    """vLLM only: the parser of the tool calls that the base model writes, by vLLM's name, e.g. `hermes` or
    `llama3_json`. Without it requests with tools are refused; see [requests.md](requests.md#tools)."""
    arguments: dict[str, JsonValue] = Field({}, max_length=40)
    """Flags of the engine's command line without a key here, by full name without dashes, e.g.
    `max-num-batched-tokens: 4096`; see [operations.md](operations.md#flags-of-the-engine). A switch is `true`
    or `false`."""

    @field_validator("max_adapter_rank", mode="before")
    @classmethod
    def _rank_of_engine(cls, value: Any, info: ValidationInfo) -> Any:
        # Before the bounds of all engines, so that the remedy is not refused in its turn.
        engine = ENGINES.get(info.data.get("name", ""))
        if engine is not None and type(value) is int and not 1 <= value <= engine.max_rank:
            raise ValueError(
                f"write a whole number from 1 to {engine.max_rank}, the highest of {engine.title}"
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Engine:
        # A rule of stage files alone: the container takes any ceiling.
        if self.max_new_tokens >= self.max_total_tokens:
            raise ValueError(
                f"{stated(self, 'max_new_tokens')}, must be below {stated(self, 'max_total_tokens')}"
            )
        if self.max_cpu_adapters is not None and self.max_cpu_adapters < self.max_active_adapters:
            raise ValueError(
                f"{stated(self, 'max_cpu_adapters')}, must be at least "
                f"{stated(self, 'max_active_adapters')}: adapters in slots are in the instance's memory, too"
            )
        for key, instead in ENGINES[self.name].unused_settings.items():
            if key in self.model_fields_set and getattr(self, key) is not None:
                raise ValueError(f"{key} has no effect with name: {self.name}, leave it out: {instead}")
        return self


class Gateway(Strict):
    """The gateway in front of the engine: time limits, queue, adapter cache, metrics."""

    answer_seconds: float = _setting("answer_seconds")
    """Time limit of an answer that is not streamed and of a stream's first event; SageMaker's own is 60."""
    max_queued_requests: int = _setting("max_queued_requests")
    """Requests per instance that may wait for the engine; more are answered 429 at once."""
    max_cold_loads: int = _setting("max_cold_loads")
    """Adapters that may be loaded at once; on LoRAX each load stops all generation meanwhile."""
    registry_cache_seconds: float = _setting("registry_cache_seconds")
    """Maximum delay until an instance serves a newly published adapter."""
    probe_share: float = _setting("probe_share")
    """Share of the time in which an instance repeats the proof that each adapter answers as when it was first
    loaded; 0: at each load only."""
    warm_up_seconds: float = _setting("warm_up_seconds")
    """Longest time in which a starting instance loads the adapters that others were asked for, before `/ping`
    answers 200."""
    engine_silence_seconds: float = _setting("engine_silence_seconds")
    """Time without a token from a busy engine after which `/ping` answers 503 and SageMaker replaces the
    instance."""
    adapter_cache_gb: float = _setting("adapter_cache_gb")
    """Disk for adapters (10^9 bytes); the least recently used ones are evicted."""
    metrics_seconds: float = _setting("metrics_seconds")
    """Period of metrics emitted to CloudWatch."""
    metrics_max_adapters: int = _setting("metrics_max_adapters")
    """Adapters with separate metrics, each a custom metric on the bill; the others share one set."""
