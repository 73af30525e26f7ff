"""Metrics per adapter, for Prometheus and in CloudWatch's Embedded Metric Format (EMF).

There may be thousands of adapters: the first `max_adapters` have separate series, the others share one.
Unregistered names never create a series.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import orjson
from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client import Counter as PrometheusCounter
from prometheus_client.exposition import generate_latest

from adapters.store.layout import name_of
from container.gateway.adapters.registry import Adapter
from container.gateway.adapters.residency import Residency
from container.gateway.errors import GatewayError
from container.gateway.request_context import RequestContext
from container.gateway.telemetry import names

#: Label of requests for the base model, of requests that end before their adapter is resolved, and of
#: adapters without a separate series. Adapter names cannot begin with an underscore.
BASE_MODEL = "__base_model__"
UNKNOWN = "__unknown__"
OTHERS = "__others__"
#: `_created` series would be a third of the text, and nothing reads them.
disable_created_metrics()  # type: ignore[no-untyped-call]
#: EMF's limit of values of one metric in a line. Of more, a random sample is emitted.
MAX_VALUES = 100
#: Histogram buckets in seconds; the last one is SageMaker's limit for streams.
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 240, 480)
#: Help text of each count that an engine reports.
_USES = {
    "slot_hits": "Requests whose adapter was in a slot of the engine",
    "memory_hits": "Requests whose adapter was copied to a slot from host memory",
    "disk_loads": "Times that the engine read an adapter's files",
    "slot_evictions": "Times that an adapter lost its slot to another",
    "memory_evictions": "Times that an adapter was dropped from host memory for another",
}


class _Sample:
    """Reservoir sample of at most `MAX_VALUES` values, uniformly chosen."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self._seen = 0

    def add(self, value: float) -> None:
        self._seen += 1
        if len(self.values) < MAX_VALUES:
            self.values.append(round(value, 4))
        elif (index := random.randrange(self._seen)) < MAX_VALUES:
            self.values[index] = round(value, 4)


@dataclass
class _Interval:
    """Counts and samples of one adapter since the last EMF line."""

    counts: Counter[str] = field(default_factory=Counter)
    uses: Counter[str] = field(default_factory=Counter)
    """Counts of the engine, which become fields of the line but no metrics."""
    latency: _Sample = field(default_factory=_Sample)
    first_token: _Sample = field(default_factory=_Sample)
    load_time: _Sample = field(default_factory=_Sample)


class AdapterMetrics:
    """Counters and histograms of requests and adapter loads, per adapter."""

    def __init__(self, *, endpoint: str, variant: str, max_adapters: int) -> None:
        """`endpoint` and `variant` are dimensions in CloudWatch."""
        self._dimensions = {names.ENDPOINT: endpoint, names.VARIANT: variant}
        self._max_adapters = max_adapters
        self._names: set[str] = set()
        self._intervals: dict[str, _Interval] = {}
        self._registry = CollectorRegistry()
        one, kind = ("adapter",), ("adapter", "error_type")
        self._requests = self._counter("requests", "Requests, by how they ended ('' is well)", kind)
        self._prompt_tokens = self._counter("prompt_tokens", "Tokens of prompts", one)
        self._generated_tokens = self._counter("generated_tokens", "Tokens generated", one)
        self._latency = self._histogram("request_seconds", "From the request to the end of its answer", one)
        self._first_token = self._histogram(
            "first_token_seconds", "From the request to a stream's first event", one
        )
        self._loads = self._counter("adapter_loads", "Adapters loaded, by how that ended", kind)
        self._load_time = self._histogram("adapter_load_seconds", "Fetching and loading an adapter", one)
        self._engine_uses = {use: self._counter(f"adapter_{use}", text, one) for use, text in _USES.items()}
        self._residency: Residency | None = None

    def served(self, context: RequestContext) -> None:
        """Count a finished request."""
        label = BASE_MODEL if context.base_model else self._label(context.adapter)
        error, usage, seconds = context.error_type, context.usage, context.seconds
        self._requests.labels(label, error or "").inc()
        self._prompt_tokens.labels(label).inc(usage.prompt_tokens)
        self._generated_tokens.labels(label).inc(usage.generated_tokens)
        now = self._interval(label)
        now.counts[names.REQUESTS] += 1
        now.counts[names.PROMPT_TOKENS] += usage.prompt_tokens
        now.counts[names.GENERATED_TOKENS] += usage.generated_tokens
        if error is not None:
            now.counts[names.ERRORS] += 1
            now.counts[names.errors_of_type(error)] += 1
            return
        # Latency is of successful requests: the time to an error says nothing about the model.
        self._latency.labels(label).observe(seconds)
        now.latency.add(seconds)
        if context.first_token_seconds is not None:
            self._first_token.labels(label).observe(context.first_token_seconds)
            now.first_token.add(context.first_token_seconds)

    def loaded(self, adapter: Adapter, seconds: float, error: GatewayError | None) -> None:
        """Count a load of an adapter, failed if `error` is set."""
        label = self._label(adapter.name)
        self._loads.labels(label, error.error_type if error else "").inc()
        self._load_time.labels(label).observe(seconds)
        now = self._interval(label)
        now.counts[names.ADAPTER_LOADS] += 1
        now.counts[names.ADAPTER_LOAD_ERRORS] += error is not None
        now.load_time.add(seconds)

    def resident(self, residency: Residency | None) -> None:
        """Count what the engine reports beyond its last report; None if it has reported nothing."""
        before = {} if self._residency is None else self._residency.uses
        self._residency = residency
        for engine_id, uses in () if residency is None else residency.uses.items():
            new = {use: uses[use] - before.get(engine_id, {}).get(use, 0) for use in _USES}
            if any(new.values()):
                label = self._label(name_of(engine_id))
                for use, count in new.items():
                    self._engine_uses[use].labels(label).inc(count)
                    self._interval(label).uses[names.RESIDENCY_METRICS[use]] += count

    def prometheus(self) -> bytes:
        """Return all counts since the start in Prometheus' text format."""
        return generate_latest(self._registry)

    def emf_lines(self) -> Iterator[bytes]:
        """Yield the counts since the last call, one line for each adapter that has any."""
        intervals, self._intervals = self._intervals, {}
        for label, interval in sorted(intervals.items()):
            yield self._emf_line(label, interval)

    def _emf_line(self, label: str, interval: _Interval) -> bytes:
        samples = {
            names.LATENCY: interval.latency,
            names.TIME_TO_FIRST_TOKEN: interval.first_token,
            names.ADAPTER_LOAD_TIME: interval.load_time,
        }
        timed = {name: sample.values for name, sample in samples.items() if sample.values}
        metrics = [{"Name": name, "Unit": names.COUNT} for name in interval.counts]
        metrics += [{"Name": name, "Unit": names.ADAPTER_METRICS[name]} for name in timed]
        directive = {
            "Namespace": names.NAMESPACE,
            # Per adapter, and for the whole variant.
            "Dimensions": [[*self._dimensions, names.ADAPTER], [*self._dimensions]],
            "Metrics": metrics,
        }
        return orjson.dumps(
            {
                "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]},
                **self._dimensions,
                names.ADAPTER: label,
                **interval.counts,
                **interval.uses,
                **timed,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )

    def _label(self, adapter: str | None) -> str:
        if adapter is None:
            return UNKNOWN
        if adapter not in self._names:
            if len(self._names) >= self._max_adapters:
                return OTHERS
            self._names.add(adapter)
        return adapter

    def _interval(self, label: str) -> _Interval:
        if label not in self._intervals:
            self._intervals[label] = _Interval()
        return self._intervals[label]

    def _counter(self, name: str, text: str, labels: Iterable[str]) -> PrometheusCounter:
        return PrometheusCounter(f"lora_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, labels: Iterable[str]) -> Histogram:
        return Histogram(f"lora_{name}", text, labels, buckets=_BUCKETS, registry=self._registry)
