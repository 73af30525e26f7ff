"""The inference engine and the gateway before it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from stacks.typed_yaml import Strict


class Engine(Strict):
    """The inference engine and how it is set up; the defaults are the seed article's."""

    name: Literal["lorax", "vllm"] = "lorax"
    """Which engine, and so which folder of `container/`."""
    max_input_tokens: int = Field(1024, ge=1)
    """Longest prompt, in tokens."""
    max_total_tokens: int = Field(4096, ge=2)
    """Longest prompt and answer together, in tokens."""
    default_new_tokens: int = Field(256, ge=1)
    """New tokens of a request that does not say how many."""
    max_new_tokens: int = Field(1024, ge=1)
    """The most new tokens one request may ask for, so that SageMaker's 60 s limit is met."""
    max_concurrent_requests: int = Field(128, ge=1)
    """Requests at the engine at once; more wait for their turn, see `max_queued_requests`."""
    max_adapter_rank: int = Field(64, ge=1, le=128)
    """LoRAX's fast path ends at rank 128 (punica)."""
    adapter_target_modules: list[str] | None = None
    """vLLM only: the modules that adapters may change, e.g. `[q_proj, v_proj]`. Every slot is reserved for
    all modules otherwise: 64 slots of rank 64 take about 21 GB beside a 7B model."""
    max_active_adapters: int = Field(64, ge=1, le=1024)
    """Adapters in the engine's memory at once."""
    adapter_memory_fraction: float = Field(0.1, ge=0.0, lt=1.0)
    """LoRAX only: part of the GPU's memory that is kept for adapters."""
    tensor_parallel: int = Field(1, ge=1, le=8)
    """GPUs that share one model."""
    quantize: str | None = None
    """The engine's own name of a quantization, e.g. `awq` or `bitsandbytes-nf4`."""
    dtype: Literal["float16", "bfloat16"] | None = None
    """Of the weights in memory; by default what the model's config says."""
    trust_remote_code: bool = False
    """Whether Python code in the model's repository may run in the container."""

    @model_validator(mode="after")
    def _consistent(self) -> Engine:
        if self.max_input_tokens >= self.max_total_tokens:
            raise ValueError("max_input_tokens must be below max_total_tokens")
        if self.max_new_tokens >= self.max_total_tokens:
            raise ValueError("max_new_tokens must be below max_total_tokens")
        if self.default_new_tokens > self.max_new_tokens:
            raise ValueError("default_new_tokens must be at most max_new_tokens")
        if self.name == "lorax" and self.quantize is not None and self.dtype is not None:
            raise ValueError("quantize and dtype exclude each other: LoRAX refuses both together")
        return self


class Gateway(Strict):
    """The process in front of the engine: how long it waits, how much it keeps, what it tells."""

    answer_seconds: float = Field(55, gt=0, le=59)
    """For an answer that is not streamed and for a stream's first event; SageMaker gives up after 60."""
    max_queued_requests: int = Field(128, ge=0)
    """Requests per instance that may wait for a turn at the engine; more are answered 429 at once."""
    max_cold_loads: int = Field(2, ge=1, le=64)
    """Adapters that may be loaded at once; on LoRAX each load stops all generation meanwhile."""
    registry_cache_seconds: float = Field(5, ge=0, le=3600)
    """How soon an instance serves what was published, at the latest."""
    engine_silence_seconds: float = Field(60, gt=0)
    """How long the engine may give no token until `/ping` says 503 and SageMaker replaces the instance."""
    adapter_cache_gb: float = Field(50, gt=0)
    """Disk for adapters (10^9 bytes); the least recently used ones make room."""
    metrics_seconds: float = Field(60, gt=0)
    """How often metrics are written for CloudWatch."""
    metrics_max_adapters: int = Field(100, ge=1)
    """Adapters with metrics of their own, each a custom metric on the bill; the others share theirs."""
