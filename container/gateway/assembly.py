"""Composition root: builds the gateway's parts from the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from container.gateway.adapters.cache import AdapterCache
from container.gateway.adapters.registry import Adapter, ObjectStore, RegistryReader
from container.gateway.admission import Admission
from container.gateway.api.server import Gateway, RequestLimits
from container.gateway.engine.backend import Backend
from container.gateway.engine.readiness import Readiness
from container.gateway.errors import GatewayError
from container.gateway.identity.prover import Prover
from container.gateway.proof.conditions import BaseModel
from container.gateway.settings import Settings
from container.gateway.telemetry.access_log import AccessLog
from container.gateway.telemetry.adapter_metrics import AdapterMetrics
from container.gateway.telemetry.instance_metrics import InstanceMetrics
from container.gateway.telemetry.telemetry import Telemetry


@dataclass(frozen=True)
class Assembly:
    """The parts that the container's process uses directly."""

    gateway: Gateway
    readiness: Readiness
    telemetry: Telemetry
    cache: AdapterCache
    prover: Prover


def assemble(
    settings: Settings, backend: Backend, store: ObjectStore, write: Callable[[bytes], object]
) -> Assembly:
    """Build a gateway in front of `backend`; `write` takes the lines of its access log."""
    adapter_metrics = AdapterMetrics(
        endpoint=settings.endpoint_name,
        variant=settings.variant_name,
        max_adapters=settings.metrics_max_adapters,
    )

    prover = Prover(
        backend,
        store,
        BaseModel(settings.model_id, settings.model_revision or "", settings.quantize or ""),
        residents=lambda: cache,
        on_wrong_adapter=lambda: readiness.leave_service(),  # noqa: PLW0108 — it is built below
    )
    readiness = Readiness(
        backend,
        idle_seconds=settings.engine_idle_seconds,
        silence_seconds=settings.engine_silence_seconds,
        prepare=prover.start,
    )
    admission = Admission(running=settings.max_concurrent_requests, queued=settings.max_queued_requests)

    def on_load(adapter: Adapter, seconds: float, error: GatewayError | None) -> None:
        adapter_metrics.loaded(adapter, seconds, error)
        if error is None:
            # Loading an adapter generates a token.
            readiness.saw_token()

    cache = AdapterCache(
        backend,
        max_bytes=int(settings.adapter_cache_gb * 1e9),
        max_loads=settings.max_cold_loads,
        max_rank=settings.max_adapter_rank,
        prove=prover.prove,
        on_load=on_load,
    )
    registry = RegistryReader(store, cache_seconds=settings.registry_cache_seconds)
    instance_metrics = InstanceMetrics(
        endpoint=settings.endpoint_name,
        variant=settings.variant_name,
        readiness=readiness,
        admission=admission,
        registry=registry,
        cache=cache,
        prover=prover,
        cache_dir=settings.adapter_cache_dir,
    )
    telemetry = Telemetry(adapter_metrics, instance_metrics, AccessLog(write))
    gateway = Gateway(
        backend,
        registry,
        cache,
        admission,
        readiness,
        telemetry,
        base_model=settings.model_id,
        limits=RequestLimits(max_new_tokens=settings.max_new_tokens, answer_seconds=settings.answer_seconds),
    )
    return Assembly(gateway, readiness, telemetry, cache, prover)
