"""Scaling policies and scheduled actions are carried out, in a laptop cloud whose scaling clock runs faster."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.credentials import Credentials

from laptop_cloud.cloud import LaptopCloud
from loraserve.load.job import LoadJob, LoadRun, Target
from loraserve.load.processes import run
from loraserve.load.result import LoadOutcome
from loraserve.simulation.events import simulate_events
from loraserve.simulation.scaled_fleet import SizeChange
from loraserve.simulation.scaling_candidate import scaling_candidate
from loraserve.simulation.scenario import ScalingScenario
from loraserve.simulation.start_times import StartTimes
from loraserve.workload.workload import BASE, Workload
from stacks.sizing.throughput import LatencyModel
from tests.harness.waiting import wait_until
from tests.local.cloud.conftest import SageMaker

#: Seconds of the scaling clock in a second.
SPEED = 40
PERIOD_S = 10
#: An instance answers so many requests at once, in so many seconds each.
AT_ONCE, ANSWER_S = 4, 0.4
IMAGE = [sys.executable, str(Path(__file__).with_name("queueing_container.py"))]
VARIANT = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
CONCURRENT = "SageMakerVariantConcurrentRequestsPerModelHighResolution"
#: Requests per second of time, and seconds of the scaling clock, of the steps of the load.
STEPS = ((3.0, 60.0), (8.0, 160.0), (30.0, 160.0), (3.0, 980.0))


@pytest.fixture(scope="module")
def fast() -> Iterator[LaptopCloud]:
    with LaptopCloud(images={"localhost/queue": IMAGE}, scaling_speed=SPEED) as running:
        yield running


@pytest.fixture(scope="module")
def service(fast: LaptopCloud) -> SageMaker:
    return SageMaker(fast)


@pytest.fixture(scope="module")
def scaling(fast: LaptopCloud) -> Any:
    return fast.client("application-autoscaling")


def endpoint_of(service: SageMaker) -> str:
    environment = {"AT_ONCE": str(AT_ONCE), "ANSWER_S": str(ANSWER_S)}
    model = service.model("localhost/queue:test", Environment=environment)
    routing = {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
    return service.endpoint(service.config(model, RoutingConfig=routing))


def target_of(endpoint: str) -> dict[str, str]:
    return {**VARIANT, "ResourceId": f"endpoint/{endpoint}/variant/Main"}


def tracking(value: float, metric: str = CONCURRENT, **options: Any) -> dict[str, Any]:
    return {
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": value,
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
            **options,
        },
    }


class Curve:
    """The instances of an endpoint over time, asked for again and again."""

    def __init__(self, service: SageMaker, endpoint: str) -> None:
        self.counts: list[tuple[float, int, int]] = []
        self._service, self._endpoint = service, endpoint
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Curve:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            at = time.monotonic()
            [variant] = self._service.api.describe_endpoint(EndpointName=self._endpoint)["ProductionVariants"]
            found = (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"])
            if not self.counts or self.counts[-1][1:] != found:
                self.counts.append((at, *found))

    def sizes(self, began_s: float) -> list[SizeChange]:
        """The changes in seconds of the scaling clock after `began_s`."""
        return [SizeChange(SPEED * (at - began_s), serving, desired) for at, serving, desired in self.counts]


def workload() -> Workload:
    times, at = [], 0.0
    for rate, seconds in STEPS:
        times.append(at + np.arange(round(rate * seconds / SPEED)) / rate)
        at += seconds / SPEED
    due = np.concatenate(times)
    counts = np.ones(len(due), dtype=np.int32)
    return Workload(due_s=due, adapter=BASE * counts, input_tokens=counts, output_tokens=counts)


def loaded(cloud: LaptopCloud, endpoint: str, requests: Workload) -> LoadRun:
    url = f"{cloud.url}/endpoints/{endpoint}/invocations"
    job = LoadJob(
        target=Target(url=url, region="us-east-1"), workload=requests, bodies=[b"{}"] * len(requests)
    )
    return run(job, lambda _: None, Credentials("000000000000", "local"))


def changes(sizes: list[SizeChange]) -> list[tuple[float, int]]:
    """The times at which the number of instances, those that start included, changes, and the new number."""
    pairs = itertools.pairwise(sizes)
    return [(after.at_s, after.capacity) for before, after in pairs if after.capacity != before.capacity]


def started_s(sizes: list[SizeChange]) -> float:
    """The time from the last decision to add instances until they serve; requests miss the SLO meanwhile."""
    pairs = list(itertools.pairwise(sizes))
    asked = max(after.at_s for before, after in pairs if after.capacity > before.capacity)
    return min(
        after.at_s - asked for before, after in pairs if after.serving > before.serving and after.at_s > asked
    )


def test_the_fleet_follows_a_load_as_it_does_in_the_simulator(
    fast: LaptopCloud, service: SageMaker, scaling: Any
) -> None:
    endpoint = endpoint_of(service)
    target = target_of(endpoint)
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=4)
    options = {"ScaleOutCooldown": 60, "ScaleInCooldown": 60}
    scaling.put_scaling_policy(**target, PolicyName="concurrency", **tracking(2, **options))
    requests = workload()
    with Curve(service, endpoint) as curve:
        done = loaded(fast, endpoint, requests)
        began_s = done.began_ns / 1e9
    sizes = curve.sizes(began_s)
    assert {result.outcome for result in done.results} == {LoadOutcome.OK}
    slo_s = 2 * ANSWER_S
    misses = float(np.mean([result.latency_s > slo_s for result in done.results]))
    # Half of the requests do not wait: this is what an answer takes on this machine, the cloud's part included.
    alone_s = float(np.median([result.service_s for result in done.results]))

    simulated = simulate_events(
        SPEED * requests.due_s,
        scaling_candidate("same", "concurrent_requests", target=2, limits=(1, 4), cooldowns_s=(60, 60)),
        ScalingScenario(
            latency=LatencyModel(SPEED * alone_s, 0, AT_ONCE),
            slo_s=SPEED * slo_s,
            duration_s=SPEED * done.duration_s,
            starts=StartTimes(started_s(sizes)),
        ),
    )
    expected = changes(list(simulated.sizes))
    assert [count for _, count in changes(sizes)] == [count for _, count in expected] == [2, 4, 1]
    for (at_s, _), (expected_s, _) in zip(changes(sizes), expected, strict=True):
        assert abs(at_s - expected_s) <= 2 * PERIOD_S
    # At most 0.05 on an idle machine; other programs delay answers, and at this speed each second is forty.
    assert abs(misses - simulated.misses) <= 0.2

    def activities_now() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = scaling.describe_scaling_activities(**target)["ScalingActivities"]
        return found

    # The last one ends when the instances that it removes have.
    wait_until(lambda: activities_now()[0]["StatusCode"] != "InProgress", "the fleet has shrunk")
    activities = activities_now()
    assert [activity["Description"] for activity in activities] == [
        f"Setting desired instance count to {count}." for count in (1, 4, 2)
    ]
    assert {activity["StatusCode"] for activity in activities} == {"Successful"}
    [policy] = scaling.describe_scaling_policies(**target)["ScalingPolicies"]
    for activity, alarm in zip(activities, (1, 0, 0), strict=True):
        assert policy["Alarms"][alarm]["AlarmName"] in activity["Cause"]
    scaling.deregister_scalable_target(**target)


def test_a_scheduled_action_sets_bounds_and_instances(service: SageMaker, scaling: Any) -> None:
    endpoint = endpoint_of(service)
    target = target_of(endpoint)
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=1)
    scaling.put_scheduled_action(
        **target,
        ScheduledActionName="each-minute",
        Schedule="cron(* * * * ? *)",
        ScalableTargetAction={"MinCapacity": 2, "MaxCapacity": 3},
    )
    wait_for(lambda: scaling.describe_scaling_activities(**target)["ScalingActivities"])
    service.settled(endpoint)
    [found] = scaling.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[target["ResourceId"]]
    )["ScalableTargets"]
    assert (found["MinCapacity"], found["MaxCapacity"]) == (2, 3)
    [variant] = service.api.describe_endpoint(EndpointName=endpoint)["ProductionVariants"]
    assert (variant["DesiredInstanceCount"], variant["CurrentInstanceCount"]) == (2, 2)
    scaling.deregister_scalable_target(**target)


def wait_for(found: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.1)
