"""The dashboard of an endpoint: how it does now, on the first row, and below that why."""

from __future__ import annotations

import json
from collections.abc import Sequence

from stacks.observability import charts as lines
from stacks.observability.alarm import Thresholds
from stacks.observability.metric import Source
from stacks.observability.widgets import Widget, alarm_states, chart, in_rows, number, text


def dashboard_body(
    source: Source,
    *,
    region: str,
    thresholds: Thresholds,
    gpus: int,
    price_per_hour: float | None,
    alarm_arns: Sequence[str],
) -> str:
    """The dashboard's JSON, the same for the same values.

    `price_per_hour` is an instance's in US dollars, `gpus` an instance's number.
    """
    memory_limit = ("memory alarm", thresholds.gpu_memory_percent * gpus)
    percent = f"% (an instance has {100 * gpus})"
    gpu = [chart("GPU", lines.gpu(source), unit=percent, limit=memory_limit)] if gpus else []
    cost = (
        []
        if price_per_hour is None
        else [chart("Cost", lines.cost(source, price_per_hour), unit="US dollars per hour")]
    )
    rows = [
        _now(source, price_per_hour),
        [
            alarm_states("Alarms", alarm_arns, width=16, height=6),
            text(_first_steps(source), width=8, height=6),
        ],
        [
            chart("Requests", lines.requests(source), unit="per second"),
            chart("Latency of whole answers", lines.percentiles(source, "Latency"), unit="seconds"),
            chart("Time to first token", lines.percentiles(source, "TimeToFirstToken"), unit="seconds"),
        ],
        [
            chart("Tokens", lines.tokens(source), unit="per second"),
            chart(
                "Requests at once per instance",
                lines.concurrency(source),
                limit=("autoscaling's target", thresholds.target_concurrent_requests),
            ),
            chart("Queue in the gateway", lines.queue(source), unit="requests"),
        ],
        [
            chart("Adapters with most requests", lines.top_adapters(source, "Requests")),
            chart("Adapters with most errors", lines.top_adapters(source, "Errors")),
            chart("Adapter loads", lines.loads(source), unit="count"),
        ],
        [
            chart("Errors by type", lines.error_types(source), unit="count"),
            chart("Instances", lines.readiness(source), unit="count"),
            *cost,
        ],
        [
            chart("Disk", lines.disk(source), unit="GB"),
            chart("Adapter store", lines.store(source), unit="count"),
            *gpu,
        ],
    ]
    return json.dumps({"start": "-PT3H", "periodOverride": "auto", "widgets": in_rows(rows, region)})


def _now(source: Source, price_per_hour: float | None) -> list[Widget]:
    numbers = [
        number("Requests/s", lines.rate(source, "Requests", "requests/s")),
        number("Errors", lines.error_share(source)),
        number("Latency p95, s", lines.percentiles(source, "Latency")[1:2]),
        number("First token p95, s", lines.percentiles(source, "TimeToFirstToken")[1:2]),
        number("Instances", lines.instances(source)),
    ]
    if price_per_hour is not None:
        numbers.append(number("Cost, $/h", lines.cost(source, price_per_hour)))
    return numbers


def _first_steps(source: Source) -> str:
    return "\n".join(
        (
            f"**{source.endpoint_name}** · {source.variant}",
            "",
            "1. A red alarm's description says what it means and what to do first.",
            "2. One adapter, or all? See the adapters with most errors. One: roll that adapter back.",
            "3. All, since an update of the endpoint? Roll the update back.",
            "4. All, without an update? See queue and instances: too much traffic, or too few instances.",
            "",
            f"Log: `{source.log_group}`",
        )
    )
