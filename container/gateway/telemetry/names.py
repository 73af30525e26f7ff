"""Names of the gateway's CloudWatch metrics: namespace, dimensions, metrics and units.

The container emits them; alarms, dashboard and cost estimate (`stacks`) read them. Standard library only, so
that synth can import this module. `docs/requests.md` describes each metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NAMESPACE: Final = "LoraServing"

# Dimensions.
ENDPOINT: Final = "Endpoint"
VARIANT: Final = "Variant"
ADAPTER: Final = "Adapter"

# Units.
COUNT: Final = "Count"
SECONDS: Final = "Seconds"
BYTES: Final = "Bytes"
PERCENT: Final = "Percent"

# Per adapter.
REQUESTS: Final = "Requests"
ERRORS: Final = "Errors"
PROMPT_TOKENS: Final = "PromptTokens"
GENERATED_TOKENS: Final = "GeneratedTokens"
LATENCY: Final = "Latency"
TIME_TO_FIRST_TOKEN: Final = "TimeToFirstToken"  # noqa: S105 — no secret
ADAPTER_LOADS: Final = "AdapterLoads"
ADAPTER_LOAD_ERRORS: Final = "AdapterLoadErrors"
ADAPTER_LOAD_TIME: Final = "AdapterLoadTime"

# Per instance.
INSTANCES: Final = "Instances"
ENGINE_READY: Final = "EngineReady"
REQUESTS_INSIDE: Final = "RequestsInside"
REQUESTS_WAITING: Final = "RequestsWaiting"
ADAPTER_LOADS_WAITING: Final = "AdapterLoadsWaiting"
REQUESTS_REFUSED: Final = "RequestsRefused"
SERVER_ERRORS: Final = "ServerErrors"
WRONG_ADAPTERS: Final = "WrongAdapters"
ADAPTER_LOAD_FAILURES: Final = "AdapterLoadFailures"
FAILING_ADAPTERS: Final = "FailingAdapters"
ADAPTER_SLOT_HITS: Final = "AdapterSlotHits"
ADAPTER_MEMORY_HITS: Final = "AdapterMemoryHits"
ADAPTER_DISK_LOADS: Final = "AdapterDiskLoads"
ADAPTER_SLOT_EVICTIONS: Final = "AdapterSlotEvictions"
ADAPTER_MEMORY_EVICTIONS: Final = "AdapterMemoryEvictions"
ADAPTERS_IN_SLOTS: Final = "AdaptersInSlots"
ADAPTERS_IN_MEMORY: Final = "AdaptersInMemory"
ADAPTER_EVICTIONS: Final = "AdapterEvictions"
ADAPTER_CACHE_BYTES: Final = "AdapterCacheBytes"
ADAPTER_CACHE_ADAPTERS: Final = "AdapterCacheAdapters"
DISK_FREE_BYTES: Final = "DiskFreeBytes"
REGISTRY_STALE_ANSWERS: Final = "RegistryStaleAnswers"
REGISTRY_ERRORS: Final = "RegistryErrors"
WARMED_ADAPTERS: Final = "WarmedAdapters"
WARM_UP_TIME: Final = "WarmUpTime"
DEMAND_ERRORS: Final = "DemandErrors"

#: Units of the metrics with the dimensions endpoint, variant and adapter, and again without the adapter. The
#: rare `errors_of_type` come on top.
ADAPTER_METRICS: Final[Mapping[str, str]] = {
    REQUESTS: COUNT,
    ERRORS: COUNT,
    PROMPT_TOKENS: COUNT,
    GENERATED_TOKENS: COUNT,
    LATENCY: SECONDS,
    TIME_TO_FIRST_TOKEN: SECONDS,
    ADAPTER_LOADS: COUNT,
    ADAPTER_LOAD_ERRORS: COUNT,
    ADAPTER_LOAD_TIME: SECONDS,
}
#: Units of the metrics with the dimensions endpoint and variant: the state of an instance.
INSTANCE_METRICS: Final[Mapping[str, str]] = {
    INSTANCES: COUNT,
    ENGINE_READY: COUNT,
    REQUESTS_INSIDE: COUNT,
    REQUESTS_WAITING: COUNT,
    ADAPTER_LOADS_WAITING: COUNT,
    REQUESTS_REFUSED: COUNT,
    SERVER_ERRORS: COUNT,
    WRONG_ADAPTERS: COUNT,
    ADAPTER_LOAD_FAILURES: COUNT,
    FAILING_ADAPTERS: PERCENT,
    ADAPTER_SLOT_HITS: COUNT,
    ADAPTER_MEMORY_HITS: COUNT,
    ADAPTER_DISK_LOADS: COUNT,
    ADAPTER_SLOT_EVICTIONS: COUNT,
    ADAPTER_MEMORY_EVICTIONS: COUNT,
    ADAPTERS_IN_SLOTS: COUNT,
    ADAPTERS_IN_MEMORY: COUNT,
    ADAPTER_EVICTIONS: COUNT,
    ADAPTER_CACHE_BYTES: BYTES,
    ADAPTER_CACHE_ADAPTERS: COUNT,
    DISK_FREE_BYTES: BYTES,
    REGISTRY_STALE_ANSWERS: COUNT,
    REGISTRY_ERRORS: COUNT,
    WARMED_ADAPTERS: COUNT,
    WARM_UP_TIME: SECONDS,
    DEMAND_ERRORS: COUNT,
}
#: The metric of each count that an engine reports (`container.gateway.adapters.residency.USES`). Summed over
#: the adapters they are metrics of the instance. An adapter's are fields of its log line, without a metric:
#: CloudWatch would bill five more for each adapter.
RESIDENCY_METRICS: Final[Mapping[str, str]] = {
    "slot_hits": ADAPTER_SLOT_HITS,
    "memory_hits": ADAPTER_MEMORY_HITS,
    "disk_loads": ADAPTER_DISK_LOADS,
    "slot_evictions": ADAPTER_SLOT_EVICTIONS,
    "memory_evictions": ADAPTER_MEMORY_EVICTIONS,
}


def errors_of_type(error_type: str) -> str:
    """Return the name of an adapter's metric that counts one type of error."""
    return f"{ERRORS}.{error_type}"
