"""Metrics of the endpoint: requests at the new fleet, and those that the gateway emits for the alarms.

SageMaker publishes a variant's metrics with the dimensions EndpointName and VariantName, and again with
EndpointConfigName, as the alarms of new fleets in its guide use them ("Auto-Rollback Configuration and
Monitoring").
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from container.gateway.telemetry import names
from loraserve.aws import Client
from loraserve.finding import Finding, ok, warning
from loraserve.verify.endpoint import live_endpoint
from stacks.config.stage_target import StageTarget

#: Seconds between two looks.
LOOK_SECONDS = 5.0
#: Seconds for the first metric: an interval of the gateway (60 s by default), and CloudWatch's extraction
#: from the log, for which AWS names no time.
METRIC_SECONDS = 300.0
_REQUESTS, _GATEWAY = "requests", "gateway"


def check_metrics(
    target: StageTarget, client: Client, since: datetime, invoked: bool, say: Callable[[str], None]
) -> Iterator[Finding]:
    """Wait for both metrics since `since`, five minutes at most; a late one is a warning.

    Without requests of the verification, the fleet's requests are not looked up.
    """
    live = live_endpoint(client("sagemaker"), target.endpoint_name)
    if live is None:
        return
    [variant] = live["ProductionVariants"]
    own = {"EndpointName": target.endpoint_name, "VariantName": variant["VariantName"]}
    fleet = {**own, "EndpointConfigName": live["EndpointConfigName"]}
    gateway = {names.ENDPOINT: target.endpoint_name, names.VARIANT: variant["VariantName"]}
    queries = [_query(_GATEWAY, names.NAMESPACE, names.INSTANCES, gateway)]
    if invoked:
        queries.append(_query(_REQUESTS, "AWS/SageMaker", "Invocations", fleet))
    found = _awaited(client("cloudwatch"), queries, since, say)
    if invoked:
        yield _requests(live["EndpointConfigName"], found.get(_REQUESTS, 0.0))
    if found.get(_GATEWAY):
        yield ok("metrics", "the endpoint's metrics reach CloudWatch")
        return
    group = f"/aws/sagemaker/Endpoints/{target.endpoint_name}"
    yield warning(
        "metrics",
        f"no metric of the namespace {names.NAMESPACE} came within {METRIC_SECONDS / 60:g} minutes: the "
        "alarms would not be raised",
        f"CloudWatch makes the metrics of lines of the log group {group}. If it has no new lines, look at "
        "the execution role (logs:CreateLogStream, logs:PutLogEvents) and its permissions boundary; if it "
        "has, at gateway.metrics_seconds of the stage and at the image, which may be older than this "
        "repository",
    )


def _requests(config: str, count: float) -> Finding:
    if count:
        return ok("traffic", f"{count:g} requests at the fleet of {config}")
    return warning(
        "traffic", f"no request at the fleet of {config} is in CloudWatch yet", "run this again in a minute"
    )


def _query(identifier: str, namespace: str, metric: str, dimensions: dict[str, str]) -> dict[str, Any]:
    described = {
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
    }
    return {"Id": identifier, "MetricStat": {"Metric": described, "Period": 60, "Stat": "Sum"}}


def _awaited(
    cloudwatch: Any, queries: list[dict[str, Any]], since: datetime, say: Callable[[str], None]
) -> dict[str, float]:
    """Return the sum of each metric, once each has a value, or after the time."""
    until = time.monotonic() + METRIC_SECONDS
    say(f"the metrics are waited for, {METRIC_SECONDS / 60:g} minutes at most")
    start = since.replace(second=0, microsecond=0)
    while True:
        answer = cloudwatch.get_metric_data(
            MetricDataQueries=queries, StartTime=start, EndTime=datetime.now(UTC)
        )
        found = {each["Id"]: sum(each["Values"]) for each in answer["MetricDataResults"]}
        if all(found.get(query["Id"]) for query in queries) or time.monotonic() > until:
            return found
        time.sleep(LOOK_SECONDS)
