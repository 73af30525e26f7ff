"""The lines of the dashboard's charts."""

from __future__ import annotations

from container.gateway.telemetry import names
from stacks.observability.metric import CONCURRENT_REQUESTS, DISK, GPU, GPU_MEMORY, Source
from stacks.observability.widgets import PERIOD_SECONDS, RED, Line

#: Length of the lists of adapters.
TOP = 10


def rate(source: Source, metric: str, label: str, *, color: str | None = None) -> list[Line]:
    """A count of the gateway, per second."""
    name = metric.lower()
    return [
        Line(metric=source.gateway(metric), id=name, hidden=True),
        Line(label, expression=f"{name} / PERIOD({name})", color=color),
    ]


def requests(source: Source) -> list[Line]:
    """Requests and errors per second."""
    return [*rate(source, names.REQUESTS, "requests"), *rate(source, names.ERRORS, "errors", color=RED)]


def tokens(source: Source) -> list[Line]:
    """Prompt and generated tokens per second."""
    return [*rate(source, names.PROMPT_TOKENS, "in"), *rate(source, names.GENERATED_TOKENS, "out")]


def error_share(source: Source) -> list[Line]:
    """Failed requests, in percent."""
    return [
        Line(metric=source.gateway(names.REQUESTS), id="requests", hidden=True),
        Line(metric=source.gateway(names.ERRORS), id="errors", hidden=True),
        # Without errors there is no such metric.
        Line("%", expression="100 * FILL(errors, 0) / requests"),
    ]


def percentiles(source: Source, metric: str) -> list[Line]:
    """The 50th, 95th and 99th percentile."""
    return [Line(percentile, source.gateway(metric, percentile)) for percentile in ("p50", "p95", "p99")]


def instances(source: Source, *, hidden: bool = False) -> list[Line]:
    """Instances that emit metrics: each emits 1 every `metrics_seconds`."""
    return [
        Line(metric=source.gateway(names.INSTANCES), id="emitted", hidden=True),
        Line(
            "instances",
            expression=f"emitted * {source.metrics_seconds:g} / PERIOD(emitted)",
            id="instances",
            hidden=hidden,
        ),
    ]


def cost(source: Source, price_per_hour: float) -> list[Line]:
    """Price of the running instances, in US dollars per hour."""
    return [*instances(source, hidden=True), Line("$/h", expression=f"instances * {price_per_hour:g}")]


def readiness(source: Source) -> list[Line]:
    """Instances; all are ready if the minimum is 1, any if the maximum is 1."""
    return [
        *instances(source),
        Line("ready, minimum", source.gateway(names.ENGINE_READY, "Minimum")),
        Line("ready, maximum", source.gateway(names.ENGINE_READY, "Maximum")),
    ]


def concurrency(source: Source) -> list[Line]:
    """The metric that autoscaling tracks."""
    return [Line("maximum", source.invocations(CONCURRENT_REQUESTS, "Maximum"))]


def queue(source: Source) -> list[Line]:
    """Requests in flight and queued in the fullest instance, and those answered 429."""
    return [
        Line("in flight, maximum", source.gateway(names.REQUESTS_INSIDE, "Maximum")),
        Line("queued, maximum", source.gateway(names.REQUESTS_WAITING, "Maximum")),
        Line("waiting for an adapter, maximum", source.gateway(names.ADAPTER_LOADS_WAITING, "Maximum")),
        Line("refused", source.gateway(names.REQUESTS_REFUSED), color=RED),
    ]


def gpu(source: Source) -> list[Line]:
    """GPU utilization, in percent, summed over an instance's GPUs."""
    return [
        Line("memory, maximum", source.instances(GPU_MEMORY, "Maximum")),
        Line("compute, average", source.instances(GPU, "Average")),
    ]


def disk(source: Source) -> list[Line]:
    """Free space for adapter files, and the space they use; utilization of the disk on the right axis."""
    return [
        Line(metric=source.gateway(names.DISK_FREE_BYTES, "Minimum"), id="free", hidden=True),
        Line("free, minimum", expression="free / 1000000000"),
        Line(metric=source.gateway(names.ADAPTER_CACHE_BYTES, "Maximum"), id="cache", hidden=True),
        Line("adapters, maximum", expression="cache / 1000000000"),
        Line("full, %", source.instances(DISK, "Maximum"), right=True),
    ]


def top_adapters(source: Source, metric: str) -> list[Line]:
    """The adapters with the highest sums. The gateway limits how many have separate metrics."""
    schema = f'SCHEMA("{names.NAMESPACE}", {names.ENDPOINT}, {names.VARIANT}, {names.ADAPTER})'
    this = f"{names.ENDPOINT} = '{source.endpoint_name}' AND {names.VARIANT} = '{source.variant}'"
    query = " ".join(
        (
            f"SELECT SUM({metric}) FROM {schema}",  # noqa: S608 — a stage's own names
            f"WHERE {this} GROUP BY {names.ADAPTER} ORDER BY SUM() DESC LIMIT {TOP}",
        )
    )
    return [Line(expression=query, id="adapters")]


def loads(source: Source) -> list[Line]:
    """Adapter loads, failed loads and evictions; seconds on the right axis."""
    return [
        Line("loads", source.gateway(names.ADAPTER_LOADS)),
        Line("failed", source.gateway(names.ADAPTER_LOAD_ERRORS), color=RED),
        Line("evictions", source.gateway(names.ADAPTER_EVICTIONS)),
        Line("seconds, p95", source.gateway(names.ADAPTER_LOAD_TIME, "p95"), right=True),
    ]


def error_types(source: Source) -> list[Line]:
    """Each of the metrics `Errors.<type>`: a search for the word "Errors", which finds `Errors` too."""
    search = (
        f"{{{names.NAMESPACE},{names.ENDPOINT},{names.VARIANT}}} MetricName={names.ERRORS} "
        f'{names.ENDPOINT}="{source.endpoint_name}" {names.VARIANT}="{source.variant}"'
    )
    return [Line(expression=f"SEARCH('{search}', 'Sum', {PERIOD_SECONDS})", id="types")]


def store(source: Source) -> list[Line]:
    """Failed registry reads, and the answers from stale entries that replaced them."""
    return [
        Line("answers from outdated entries", source.gateway(names.REGISTRY_STALE_ANSWERS)),
        Line("failed reads", source.gateway(names.REGISTRY_ERRORS), color=RED),
    ]
