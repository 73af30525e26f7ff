"""Metrics of this instance, for Prometheus and as one line of CloudWatch's Embedded Metric Format (EMF).

The line is emitted at regular intervals, without requests too: missing data mean that no instance runs.
`adapter_metrics` has the metrics per adapter.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from container.gateway.adapters.cache import AdapterCache
from container.gateway.adapters.registry import RegistryReader
from container.gateway.adapters.residency import ResidencyReader
from container.gateway.admission import Admission
from container.gateway.engine.readiness import Readiness
from container.gateway.errors import WRONG_ADAPTER
from container.gateway.identity.prover import Prover
from container.gateway.request_context import RequestContext
from container.gateway.telemetry import names
from container.gateway.warm_up.counts import WarmUpCounts

#: Fewer failing adapters give no share. One alone may be broken itself, and callers keep requesting it: on an
#: instance that has loaded no other adapter yet, it would be all of them.
FEWEST_FAILING = 2

#: Prometheus' name and help text of each counter.
_COUNTERS = {
    names.REQUESTS_REFUSED: ("requests_refused", "Requests refused for overload"),
    names.SERVER_ERRORS: (
        "server_errors",
        "Answers with a status of 500 or more, errors in streams included",
    ),
    names.WRONG_ADAPTERS: (
        "wrong_adapters",
        "Requests that another model answered, and that failed for it; probes of another adapter's weights",
    ),
    names.ADAPTER_LOAD_FAILURES: (
        "adapter_load_failures",
        "Adapter loads that failed, incompatible ones left out",
    ),
    names.ADAPTER_SLOT_HITS: ("slot_hits", "Requests whose adapter was in a slot of the engine"),
    names.ADAPTER_MEMORY_HITS: (
        "memory_hits",
        "Requests whose adapter was copied to a slot from host memory",
    ),
    names.ADAPTER_DISK_LOADS: ("disk_loads", "Times that the engine read an adapter's files"),
    names.ADAPTER_SLOT_EVICTIONS: ("slot_evictions", "Times that an adapter lost its slot to another"),
    names.ADAPTER_MEMORY_EVICTIONS: (
        "memory_evictions",
        "Times that an adapter was dropped from host memory for another",
    ),
    names.ADAPTER_EVICTIONS: ("adapter_evictions", "Adapters removed from the disk to make room"),
    names.REGISTRY_STALE_ANSWERS: (
        "registry_stale_answers",
        "Names looked up in an entry that is out of date",
    ),
    names.REGISTRY_ERRORS: ("registry_errors", "Questions to the adapter store that failed"),
    names.WARMED_ADAPTERS: ("warmed_adapters", "Adapters loaded before the instance came into service"),
    names.WARM_UP_TIME: ("warm_up_seconds", "Duration of these loads"),
    names.DEMAND_ERRORS: ("demand_errors", "Lists of demand that could not be read or written"),
}


@dataclass(frozen=True)
class InstanceParts:
    """The parts of the gateway whose state is emitted."""

    readiness: Readiness
    admission: Admission
    registry: RegistryReader
    cache: AdapterCache
    residency: ResidencyReader
    warm_up: WarmUpCounts
    prover: Prover


class InstanceMetrics(Collector):
    """Gauges and counters of the gateway's parts, and counts of the results of requests."""

    def __init__(
        self,
        *,
        endpoint: str,
        variant: str,
        parts: InstanceParts,
        cache_dir: Path,
    ) -> None:
        """`endpoint` and `variant` are dimensions in CloudWatch; `cache_dir` is on the measured disk."""
        self._dimensions = {names.ENDPOINT: endpoint, names.VARIANT: variant}
        self._readiness = parts.readiness
        self._admission = parts.admission
        self._registry = parts.registry
        self._cache = parts.cache
        self._residency = parts.residency
        self._warm_up = parts.warm_up
        self._prover = parts.prover
        self._cache_dir = cache_dir
        self._refused = self._server_errors = self._wrong_adapters = 0
        self._emitted: dict[str, float] = dict.fromkeys(_COUNTERS, 0)
        self._prometheus = CollectorRegistry()
        self._prometheus.register(self)

    def served(self, context: RequestContext) -> None:
        """Count a finished request."""
        self._refused += context.status == HTTPStatus.TOO_MANY_REQUESTS
        self._server_errors += context.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        self._wrong_adapters += context.error_type == WRONG_ADAPTER

    def emf_line(self) -> bytes:
        """Return the current state, and the counts since the last line."""
        return self._line(
            {names.INSTANCES: 1, names.ENGINE_READY: int(self._readiness.is_ready)} | self._interval()
        )

    def last_emf_line(self) -> bytes:
        """Return the counts since the last line, for an instance that ends: it no longer counts as one."""
        return self._line(self._interval())

    def prometheus(self) -> bytes:
        """Return the current state, and the counts since the start, in Prometheus' text format."""
        return generate_latest(self._prometheus)

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        cache, admission = self._cache, self._admission
        gauges = {
            "engine_ready": ("Whether /ping answers 200", self._readiness.is_ready),
            "requests_inside": ("Requests under way, those that wait included", admission.in_flight),
            "requests_at_engine": ("Requests at the engine", admission.in_use.value),
            "requests_waiting": (
                "Requests that wait for a turn at the engine",
                admission.waiting.value,
            ),
            "adapter_loads_waiting": ("Adapter loads that wait for others to end", cache.loads.waiting.value),
            "failing_adapters_percent": (
                "Adapters that fail to load, of those and the loaded ones; 0 for a single one",
                self._failing_percent(),
            ),
            "adapter_cache_bytes": ("Adapter files on the disk", cache.bytes),
            "adapter_cache_adapters": ("Adapters on the disk", cache.count),
            "adapters_in_slots": ("Adapters in slots of the engine", self._in_slots()),
            "adapters_in_memory": (
                "Adapters in the engine's host memory, those in slots included",
                self._in_memory(),
            ),
            "disk_free_bytes": ("Free bytes of the disk with the adapter files", _free(self._cache_dir)),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"lora_{name}", text, value=value)
        totals = self._totals()
        for metric, (name, text) in _COUNTERS.items():
            yield CounterMetricFamily(f"lora_{name}", text, value=totals[metric])

    def _totals(self) -> dict[str, float]:
        """Counts since the start."""
        return {
            names.REQUESTS_REFUSED: self._refused,
            names.SERVER_ERRORS: self._server_errors,
            names.WRONG_ADAPTERS: self._wrong_adapters + self._prover.wrong_adapters,
            names.ADAPTER_LOAD_FAILURES: self._cache.load_failures,
            names.ADAPTER_EVICTIONS: self._cache.evictions,
            **self._uses(),
            names.REGISTRY_STALE_ANSWERS: self._registry.stale_answers,
            names.REGISTRY_ERRORS: self._registry.errors,
            names.WARMED_ADAPTERS: self._warm_up.adapters,
            names.WARM_UP_TIME: round(self._warm_up.seconds, 3),
            names.DEMAND_ERRORS: self._warm_up.errors,
        }

    def _interval(self) -> dict[str, float]:
        """Counts since the last call; gauges are emitted as their peak."""
        before, self._emitted = self._emitted, self._totals()
        failing = self._failing_percent()
        self._cache.forget_failing()
        return {
            names.FAILING_ADAPTERS: failing,
            names.REQUESTS_INSIDE: self._admission.in_use.take_peak(),
            names.REQUESTS_WAITING: self._admission.waiting.take_peak(),
            names.ADAPTER_LOADS_WAITING: self._cache.loads.waiting.take_peak(),
            names.ADAPTER_CACHE_BYTES: self._cache.bytes,
            names.ADAPTER_CACHE_ADAPTERS: self._cache.count,
            names.ADAPTERS_IN_SLOTS: self._in_slots(),
            names.ADAPTERS_IN_MEMORY: self._in_memory(),
            names.DISK_FREE_BYTES: _free(self._cache_dir),
        } | {name: total - before[name] for name, total in self._emitted.items()}

    def _uses(self) -> dict[str, int]:
        """Counts that the engine has reported since its start; all 0 for one that reports nothing."""
        report = self._residency.latest
        return {
            metric: 0 if report is None else report.total(use)
            for use, metric in names.RESIDENCY_METRICS.items()
        }

    def _in_slots(self) -> int:
        return 0 if self._residency.latest is None else len(self._residency.latest.slots)

    def _in_memory(self) -> int:
        return 0 if self._residency.latest is None else len(self._residency.latest.memory)

    def _failing_percent(self) -> int:
        """Share of different adapters that failed to load in the interval, in percent.

        The loaded adapters are the rest of it: without them a single broken adapter would be 100 % of the
        loads of an instance that needs no other load.
        """
        failing, loaded = self._cache.failing, self._cache.count
        return 0 if failing < FEWEST_FAILING else round(100 * failing / (failing + loaded))

    def _line(self, values: Mapping[str, float]) -> bytes:
        directive = {
            "Namespace": names.NAMESPACE,
            "Dimensions": [[*self._dimensions]],
            "Metrics": [{"Name": name, "Unit": names.INSTANCE_METRICS[name]} for name in values],
        }
        metadata = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
        return orjson.dumps(
            {"_aws": metadata} | self._dimensions | dict(values), option=orjson.OPT_APPEND_NEWLINE
        )


def _free(directory: Path) -> int:
    """Free bytes of the disk where `directory` is, or will be; 0 on an error.

    Does not block: the kernel has the number in memory.
    """
    try:
        return shutil.disk_usage(directory).free
    except FileNotFoundError:
        return _free(directory.parent) if directory != directory.parent else 0
    except OSError:
        return 0
