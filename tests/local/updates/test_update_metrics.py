"""The metrics that the platform publishes of an endpoint."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from tests.harness.waiting import wait_until
from tests.local.updates.served import Endpoints


def statistics(endpoints: Endpoints, endpoint: str, metric: str) -> Any:
    """Return a metric's total as one data point; an empty one without data."""
    now = datetime.now(UTC)
    points = endpoints.alarms.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "Main"}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=86_400,
        Statistics=["Sum", "SampleCount", "Minimum", "Maximum", "Average"],
    )["Datapoints"]
    return points[0] if points else {"Sum": 0, "SampleCount": 0}


def test_what_the_clients_got_is_what_the_metrics_say(endpoints: Endpoints) -> None:
    endpoint = endpoints.serving("metered")

    def ask(status: int) -> None:
        with contextlib.suppress(ClientError):
            endpoints.ask(endpoint, status=status, sleep=0.1)

    with ThreadPoolExecutor(5) as clients:
        list(clients.map(ask, [200, 200, 200, 500, 404]))
    wait_until(
        lambda: statistics(endpoints, endpoint, "Invocations")["Sum"] == 5, "5 invocations are published"
    )
    said = {
        metric: statistics(endpoints, endpoint, metric)
        for metric in (
            "Invocation4XXErrors",
            "Invocation5XXErrors",
            "InvocationModelErrors",
            "ModelLatency",
            "OverheadLatency",
            "ConcurrentRequestsPerModel",
        )
    }
    # An error rate is an average: the requests that went well are in it as zeros.
    assert (said["Invocation4XXErrors"]["Sum"], said["Invocation4XXErrors"]["SampleCount"]) == (1, 5)
    assert (said["Invocation5XXErrors"]["Sum"], said["Invocation5XXErrors"]["Average"]) == (1, 0.2)
    assert said["InvocationModelErrors"]["Sum"] == 2
    assert said["ModelLatency"]["Unit"] == said["OverheadLatency"]["Unit"] == "Microseconds"
    assert 100_000 <= said["ModelLatency"]["Minimum"] < 5_000_000
    assert 0 < said["OverheadLatency"]["Average"] < said["ModelLatency"]["Average"]
    assert 2 <= said["ConcurrentRequestsPerModel"]["Maximum"] <= 5


def test_an_instance_that_dies_counts_as_an_error_of_the_server(endpoints: Endpoints) -> None:
    endpoint = endpoints.serving("mortal")
    with contextlib.suppress(ClientError):
        endpoints.ask(endpoint, sleep="no number")
    wait_until(
        lambda: statistics(endpoints, endpoint, "Invocations")["Sum"] == 1, "the invocation is published"
    )
    assert statistics(endpoints, endpoint, "Invocation5XXErrors")["Sum"] == 1
    assert statistics(endpoints, endpoint, "InvocationModelErrors")["Sum"] == 1
