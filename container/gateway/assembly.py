"""The gateway's parts, put together from the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from container.gateway.adapters.cache import AdapterCache
from container.gateway.adapters.registry import Adapter, ObjectStore, Registry
from container.gateway.admission import Admission
from container.gateway.api.server import Gateway
from container.gateway.engine.backend import Backend
from container.gateway.engine.readiness import Readiness
from container.gateway.errors import GatewayError
from container.gateway.settings import Settings
from container.gateway.telemetry.access_log import AccessLog
from container.gateway.telemetry.adapter_metrics import Metrics
from container.gateway.telemetry.instance_metrics import StateMetrics


@dataclass(frozen=True)
class Assembly:
    """The parts that whoever runs the gateway has to do with."""

    gateway: Gateway
    readiness: Readiness
    metrics: Metrics
    state: StateMetrics
    access_log: AccessLog


def assemble(
    settings: Settings, backend: Backend, store: ObjectStore, write: Callable[[bytes], object]
) -> Assembly:
    """A gateway in front of `backend`; `write` takes the lines of its log."""
    access_log = AccessLog(write)
    metrics = Metrics(
        endpoint=settings.endpoint_name,
        variant=settings.variant_name,
        max_adapters=settings.metrics_max_adapters,
    )
    readiness = Readiness(
        backend, idle_seconds=settings.engine_idle_seconds, silence_seconds=settings.engine_silence_seconds
    )
    admission = Admission(running=settings.max_concurrent_requests, queued=settings.max_queued_requests)

    def on_load(adapter: Adapter, seconds: float, error: GatewayError | None) -> None:
        metrics.loaded(adapter, seconds, error)
        if error is None:
            # A loaded adapter has generated a token.
            readiness.heard()

    cache = AdapterCache(
        backend,
        admission,
        max_bytes=int(settings.adapter_cache_gb * 1e9),
        max_loads=settings.max_cold_loads,
        max_rank=settings.max_adapter_rank,
        on_load=on_load,
    )
    registry = Registry(store, cache_seconds=settings.registry_cache_seconds)
    state = StateMetrics(
        endpoint=settings.endpoint_name,
        variant=settings.variant_name,
        readiness=readiness,
        admission=admission,
        registry=registry,
        cache=cache,
        cache_dir=settings.adapter_cache_dir,
    )
    gateway = Gateway(
        backend,
        registry,
        cache,
        admission,
        readiness,
        metrics,
        state,
        access_log,
        base_model=settings.model_id,
        max_new_tokens=settings.max_new_tokens,
        answer_seconds=settings.answer_seconds,
    )
    return Assembly(gateway, readiness, metrics, state, access_log)
