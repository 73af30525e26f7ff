"""What the dashboard's charts show."""

from __future__ import annotations

from stacks.observability.metric import GATEWAY, Source
from stacks.observability.widgets import PERIOD_SECONDS, RED, Line

#: This many adapters are listed.
TOP = 10


def rate(source: Source, metric: str, label: str, *, color: str | None = None) -> list[Line]:
    """How many per second of what the gateway counts."""
    name = metric.lower()
    return [
        Line(metric=source.gateway(metric), id=name, hidden=True),
        Line(label, expression=f"{name} / PERIOD({name})", color=color),
    ]


def requests(source: Source) -> list[Line]:
    """Requests, and those of them that failed."""
    return [*rate(source, "Requests", "requests"), *rate(source, "Errors", "errors", color=RED)]


def tokens(source: Source) -> list[Line]:
    """Tokens read and written."""
    return [*rate(source, "PromptTokens", "in"), *rate(source, "GeneratedTokens", "out")]


def error_share(source: Source) -> list[Line]:
    """Failed requests, in percent."""
    return [
        Line(metric=source.gateway("Requests"), id="requests", hidden=True),
        Line(metric=source.gateway("Errors"), id="errors", hidden=True),
        # Without errors there is no such metric.
        Line("%", expression="100 * FILL(errors, 0) / requests"),
    ]


def percentiles(source: Source, metric: str) -> list[Line]:
    """The 50th, 95th and 99th."""
    return [Line(percentile, source.gateway(metric, percentile)) for percentile in ("p50", "p95", "p99")]


def instances(source: Source, *, hidden: bool = False) -> list[Line]:
    """Instances that write metrics: each says 1 every `metrics_seconds`."""
    return [
        Line(metric=source.gateway("Instances"), id="told", hidden=True),
        Line(
            "instances",
            expression=f"told * {source.metrics_seconds:g} / PERIOD(told)",
            id="instances",
            hidden=hidden,
        ),
    ]


def cost(source: Source, price_per_hour: float) -> list[Line]:
    """What the instances cost, in US dollars per hour, traffic or not."""
    return [*instances(source, hidden=True), Line("$/h", expression=f"instances * {price_per_hour:g}")]


def readiness(source: Source) -> list[Line]:
    """Instances, and whether all (least 1) or any (most 1) of them are ready."""
    return [
        *instances(source),
        Line("ready, least", source.gateway("EngineReady", "Minimum")),
        Line("ready, most", source.gateway("EngineReady", "Maximum")),
    ]


def concurrency(source: Source) -> list[Line]:
    """What autoscaling looks at."""
    return [Line("most", source.invocations("ConcurrentRequestsPerModel", "Maximum"))]


def queue(source: Source) -> list[Line]:
    """What is under way and waits in the fullest instance, and what was answered 429."""
    return [
        Line("under way, most", source.gateway("RequestsInside", "Maximum")),
        Line("waiting, most", source.gateway("RequestsWaiting", "Maximum")),
        Line("waiting for an adapter, most", source.gateway("AdapterLoadsWaiting", "Maximum")),
        Line("refused", source.gateway("RequestsRefused"), color=RED),
    ]


def gpu(source: Source) -> list[Line]:
    """Percent, added up over an instance's GPUs."""
    return [
        Line("memory, most", source.instances("GPUMemoryUtilization", "Maximum")),
        Line("computing, average", source.instances("GPUUtilization", "Average")),
    ]


def disk(source: Source) -> list[Line]:
    """Space where adapters are kept, what they take of it, and how full the disk is on the right."""
    return [
        Line(metric=source.gateway("DiskFreeBytes", "Minimum"), id="free", hidden=True),
        Line("free, least", expression="free / 1000000000"),
        Line(metric=source.gateway("AdapterCacheBytes", "Maximum"), id="cache", hidden=True),
        Line("adapters, most", expression="cache / 1000000000"),
        Line("full, %", source.instances("DiskUtilization", "Maximum"), right=True),
    ]


def top_adapters(source: Source, metric: str) -> list[Line]:
    """The adapters with most of a metric. The gateway caps how many have metrics of their own."""
    schema = f'SCHEMA("{GATEWAY}", Endpoint, Variant, Adapter)'
    this = f"Endpoint = '{source.endpoint_name}' AND Variant = '{source.variant}'"
    query = " ".join(
        (
            f"SELECT SUM({metric}) FROM {schema}",  # noqa: S608 — a stage's own names
            f"WHERE {this} GROUP BY Adapter ORDER BY SUM() DESC LIMIT {TOP}",
        )
    )
    return [Line(expression=query, id="adapters")]


def loads(source: Source) -> list[Line]:
    """Adapters that were loaded, were not, and had to go; seconds on the right."""
    return [
        Line("loads", source.gateway("AdapterLoads")),
        Line("failed", source.gateway("AdapterLoadErrors"), color=RED),
        Line("evictions", source.gateway("AdapterEvictions")),
        Line("seconds, p95", source.gateway("AdapterLoadTime", "p95"), right=True),
    ]


def error_types(source: Source) -> list[Line]:
    """Each of the metrics `Errors.<type>`, found by the word «Errors», and the others with it."""
    search = (
        f'{{{GATEWAY},Endpoint,Variant}} MetricName=Errors Endpoint="{source.endpoint_name}" '
        f'Variant="{source.variant}"'
    )
    return [Line(expression=f"SEARCH('{search}', 'Sum', {PERIOD_SECONDS})", id="types")]


def store(source: Source) -> list[Line]:
    """Whether the adapter store answers."""
    return [
        Line("answers from memory instead", source.gateway("RegistryStaleAnswers")),
        Line("no answer", source.gateway("RegistryErrors"), color=RED),
    ]
