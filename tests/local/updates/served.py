"""Endpoints of small containers, and clients that send requests continuously."""

from __future__ import annotations

import itertools
import json
import threading
import time
from types import TracebackType
from typing import Any, Self

from botocore.config import Config
from botocore.exceptions import ClientError

from laptop_cloud.cloud import Cloud
from tests.harness.waiting import wait_until

ROLE = "arn:aws:iam::000000000000:role/execution"
IMAGE = "localhost/answering:test"
#: No client of these tests hides a failure behind a second attempt.
_ONCE = Config(retries={"total_max_attempts": 1}, max_pool_connections=16)
_CLIENTS = 8
_STEADY = ("InService", "Failed", "UpdateRollbackFailed")


class Endpoints:
    """Short forms of the tests' SageMaker calls."""

    def __init__(self, cloud: Cloud) -> None:
        self.api = cloud.client("sagemaker")
        self.runtime = cloud.client("sagemaker-runtime", _ONCE)
        self.alarms = cloud.client("cloudwatch")
        self._numbers = itertools.count()

    def config(self, version: str, count: int = 1, **environment: str) -> str:
        name = f"{version}-{next(self._numbers)}"
        container = {"Image": IMAGE, "Environment": {"VERSION": version, **environment}}
        self.api.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        variant = {
            "VariantName": "Main",
            "ModelName": name,
            "InstanceType": "ml.g5.xlarge",
            "InitialInstanceCount": count,
        }
        self.api.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        return name

    def serving(self, version: str, count: int = 1, deployment: Any = None, **environment: str) -> str:
        name = f"e{next(self._numbers)}"
        given = {"DeploymentConfig": deployment} if deployment else {}
        config = self.config(version, count, **environment)
        self.api.create_endpoint(EndpointName=name, EndpointConfigName=config, **given)
        assert self.settled(name)["EndpointStatus"] == "InService"
        return name

    def update(self, endpoint: str, config: str, deployment: Any = None, **options: Any) -> None:
        given = {**options, **({"DeploymentConfig": deployment} if deployment else {})}
        self.api.update_endpoint(EndpointName=endpoint, EndpointConfigName=config, **given)

    def described(self, endpoint: str) -> Any:
        return self.api.describe_endpoint(EndpointName=endpoint)

    def settled(self, endpoint: str) -> Any:
        while self.described(endpoint)["EndpointStatus"] not in _STEADY:
            time.sleep(0.1)
        return self.described(endpoint)

    def counts(self, endpoint: str) -> tuple[int, int]:
        """The desired and the current number of instances."""
        [variant] = self.described(endpoint)["ProductionVariants"]
        return variant["DesiredInstanceCount"], variant["CurrentInstanceCount"]

    def wait_baking(self, endpoint: str, count: int = 1) -> None:
        """Return when an update bakes with `count` new instances."""

        def baking() -> bool:
            pending = self.described(endpoint).get("PendingDeploymentSummary", {})
            [variant] = pending.get("ProductionVariants", [{}])
            status = [each["Status"] for each in variant.get("VariantStatus", [])]
            return status == ["Baking"] and variant["CurrentInstanceCount"] == count

        wait_until(baking, f"{endpoint} bakes with {count} new instances")

    def ask(self, endpoint: str, **asked: Any) -> Any:
        answer = self.runtime.invoke_endpoint(EndpointName=endpoint, Body=json.dumps(asked))
        return json.load(answer["Body"])

    def alarm(self, **metric: Any) -> str:
        """Create an alarm; by default on a separate metric, which gets no data."""
        name = f"alarm-{next(self._numbers)}"
        given = {
            "Namespace": "Tests",
            "MetricName": name,
            "Statistic": "Sum",
            "Period": 10,
            "Threshold": 1,
            **metric,
        }
        self.alarms.put_metric_alarm(
            AlarmName=name,
            EvaluationPeriods=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            **given,
        )
        return name

    def sound(self, alarm: str) -> None:
        self.alarms.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="the test says so")


class ClientThreads:
    """Threads that ask, each by `_ask` with its number, while a `with` block lasts."""

    def __init__(self, count: int) -> None:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        raise NotImplementedError


class Load(ClientThreads):
    """Clients that send requests to an endpoint continuously."""

    def __init__(self, endpoints: Endpoints, endpoint: str) -> None:
        self._endpoints = endpoints
        self._endpoint = endpoint
        super().__init__(_CLIENTS)
        self.versions: list[str] = []
        self.failures: list[Exception] = []

    def of_the_platform(self) -> list[Exception]:
        """Return the failures that are not answers of a container."""
        return [error for error in self.failures if not _is_models_own(error)]

    def _ask(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                self.versions.append(self._endpoints.ask(self._endpoint, sleep=0.02)["version"])
            except Exception as error:  # whatever it is, it is a request that was lost
                self.failures.append(error)


def _is_models_own(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response.get("OriginalStatusCode") == 500


def blue_green(kind: str, wait_s: int = 0, termination_s: int = 0, **size: Any) -> dict[str, Any]:
    routing = {"Type": kind, "WaitIntervalInSeconds": wait_s, **size}
    policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": termination_s}
    return {"BlueGreenUpdatePolicy": policy}


def rolling(wait_s: int = 0, **policy: Any) -> dict[str, Any]:
    given = {"MaximumBatchSize": instances(1), "WaitIntervalInSeconds": wait_s, **policy}
    return {"RollingUpdatePolicy": given}


def watched(deployment: dict[str, Any], *alarms: str) -> dict[str, Any]:
    names = [{"AlarmName": alarm} for alarm in alarms]
    return {**deployment, "AutoRollbackConfiguration": {"Alarms": names}}


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def instances(value: int) -> dict[str, Any]:
    return {"Type": "INSTANCE_COUNT", "Value": value}
