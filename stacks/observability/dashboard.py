"""The dashboard of an endpoint: key figures in the first row, details below."""

from __future__ import annotations

import json
from collections.abc import Sequence

from container.gateway.telemetry import names
from stacks.observability import charts
from stacks.observability.alarm import Thresholds
from stacks.observability.metric import Source
from stacks.observability.widgets import Widget, alarm_states, chart, in_rows, number, text


def dashboard_body(
    source: Source,
    *,
    region: str,
    thresholds: Thresholds,
    price_per_hour: float | None,
    alarm_arns: Sequence[str],
) -> str:
    """Make the dashboard's JSON, the same for the same values.

    `price_per_hour` is an instance's in US dollars; None leaves out the cost.
    """
    memory_limit = ("memory alarm", thresholds.gpu_memory_percent * source.gpus)
    percent = f"% (an instance has {100 * source.gpus})"
    gpu = [chart("GPU", charts.gpu(source), unit=percent, limit=memory_limit)] if source.gpus else []
    cost = (
        []
        if price_per_hour is None
        else [chart("Cost", charts.cost(source, price_per_hour), unit="US dollars per hour")]
    )
    rows = [
        _now(source, price_per_hour),
        [
            alarm_states("Alarms", alarm_arns, width=16, height=6),
            text(_first_steps(source), width=8, height=6),
        ],
        [
            chart("Requests", charts.requests(source), unit="per second"),
            chart("Latency of whole answers", charts.percentiles(source, names.LATENCY), unit="seconds"),
            chart(
                "Time to first token", charts.percentiles(source, names.TIME_TO_FIRST_TOKEN), unit="seconds"
            ),
        ],
        [
            chart("Tokens", charts.tokens(source), unit="per second"),
            chart(
                "Requests at once per instance",
                charts.concurrency(source),
                limit=("autoscaling's target", thresholds.target_concurrent_requests),
            ),
            chart("Queue in the gateway", charts.queue(source), unit="requests"),
        ],
        [
            chart("Adapters with most requests", charts.top_adapters(source, names.REQUESTS)),
            chart("Adapters with most errors", charts.top_adapters(source, names.ERRORS)),
            chart("Adapter loads", charts.loads(source), unit="count"),
        ],
        [
            chart("Errors by type", charts.error_types(source), unit="count"),
            chart("Instances", charts.readiness(source), unit="count"),
            *cost,
        ],
        [
            chart("Disk", charts.disk(source), unit="GB"),
            chart("Adapter store", charts.store(source), unit="count"),
            *gpu,
        ],
    ]
    return json.dumps({"start": "-PT3H", "periodOverride": "auto", "widgets": in_rows(rows, region)})


def _now(source: Source, price_per_hour: float | None) -> list[Widget]:
    numbers = [
        number("Requests/s", charts.rate(source, names.REQUESTS, "requests/s")),
        number("Errors", charts.error_share(source)),
        number("Latency p95, s", charts.percentiles(source, names.LATENCY)[1:2]),
        number("First token p95, s", charts.percentiles(source, names.TIME_TO_FIRST_TOKEN)[1:2]),
        number("Instances", charts.instances(source)),
    ]
    if price_per_hour is not None:
        numbers.append(number("Cost, $/h", charts.cost(source, price_per_hour)))
    return numbers


def _first_steps(source: Source) -> str:
    return "\n".join(
        (
            f"**{source.endpoint_name}** · {source.variant}",
            "",
            "1. A red alarm's description has its meaning and the first step.",
            "2. One adapter, or all? See the adapters with most errors. One: roll that adapter back.",
            "3. All, since an update of the endpoint? Roll the update back.",
            "4. All, without an update? See queue and instances: too much traffic, or too few instances.",
            "",
            f"Log: `{source.log_group}`",
        )
    )
