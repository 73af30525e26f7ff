"""Composition root: builds the gateway's parts from the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from container.gateway.adapters.cache import AdapterCache
from container.gateway.adapters.registry import Adapter, ObjectStore, RegistryReader
from container.gateway.adapters.residency import ResidencyReader
from container.gateway.adapters.watch import RegistryWatch
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
from container.gateway.telemetry.instance_metrics import InstanceMetrics, InstanceParts
from container.gateway.telemetry.telemetry import Telemetry
from container.gateway.warm_up.counts import WarmUpCounts
from container.gateway.warm_up.demand import AdapterDemand
from container.gateway.warm_up.publisher import DemandPublisher
from container.gateway.warm_up.warm_up import WarmUp, WarmUpLimits


@dataclass(frozen=True)
class Assembly:
    """The parts that the container's process uses directly."""

    gateway: Gateway
    readiness: Readiness
    telemetry: Telemetry
    publisher: DemandPublisher
    watch: RegistryWatch
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

    demand, warm_up_counts = AdapterDemand(), WarmUpCounts()
    prover = Prover(
        backend,
        store,
        BaseModel(settings.model_id, settings.model_revision or "", settings.quantize or ""),
        residents=lambda: cache,
        on_wrong_adapter=lambda: readiness.leave_service(),  # noqa: PLW0108 — it is built below
    )

    async def prepare() -> None:
        """Do what a starting instance does before it is in service."""
        await prover.start()
        await warm_up.run()

    readiness = Readiness(
        backend,
        idle_seconds=settings.engine_idle_seconds,
        silence_seconds=settings.engine_silence_seconds,
        prepare=prepare,
    )
    admission = Admission(
        running=settings.max_concurrent_requests,
        queued=settings.max_queued_requests,
        adapters=settings.max_active_adapters,
    )

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
    registry = RegistryReader(store, cache_seconds=settings.registry_cache_seconds, on_replaced=cache.retire)
    residency = ResidencyReader(backend.residency)
    warm_up = WarmUp(
        store,
        registry,
        cache,
        backend.probe,
        warm_up_counts,
        endpoint=settings.endpoint_name,
        seconds=settings.warm_up_seconds,
        limits=WarmUpLimits(
            slots=settings.max_active_adapters,
            disk_bytes=int(settings.adapter_cache_gb * 1e9),
            loads=settings.max_cold_loads,
        ),
    )
    instance_metrics = InstanceMetrics(
        endpoint=settings.endpoint_name,
        variant=settings.variant_name,
        parts=InstanceParts(readiness, admission, registry, cache, residency, warm_up_counts, prover),
        cache_dir=settings.adapter_cache_dir,
    )
    telemetry = Telemetry(adapter_metrics, instance_metrics, AccessLog(write), demand, residency)
    gateway = Gateway(
        backend,
        registry,
        cache,
        admission,
        readiness,
        telemetry,
        base_model=settings.model_id,
        limits=RequestLimits(
            max_new_tokens=settings.max_new_tokens,
            default_new_tokens=settings.default_new_tokens,
            answer_seconds=settings.answer_seconds,
        ),
    )
    return Assembly(
        gateway,
        readiness,
        telemetry,
        DemandPublisher(store, demand, warm_up_counts, endpoint=settings.endpoint_name),
        RegistryWatch(registry, cache),
        cache,
        prover,
    )
