"""A DeploymentConfig: refused values, and the resulting steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from laptop_cloud.api.service import ServiceError
from laptop_cloud.sagemaker.fleet import Fleet
from laptop_cloud.sagemaker.rollback_alarms import UpdateFailed
from laptop_cloud.sagemaker.rollout import Rollout
from laptop_cloud.sagemaker.update_policy import batch_size, check_deployment, traffic_steps


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def instances(value: int) -> dict[str, Any]:
    return {"Type": "INSTANCE_COUNT", "Value": value}


def routed(kind: str, wait_s: int = 0, **policy: Any) -> dict[str, Any]:
    sizes = {name: policy.pop(name) for name in ("CanarySize", "LinearStepSize") if name in policy}
    routing = {"Type": kind, "WaitIntervalInSeconds": wait_s, **sizes}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **policy}}


def rolling(batch: dict[str, Any], wait_s: int = 0, **policy: Any) -> dict[str, Any]:
    return {"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": wait_s, **policy}}


@pytest.mark.parametrize(
    ("deployment", "count", "message"),
    [
        (routed("CANARY"), 2, "of Type CANARY needs CanarySize"),
        (routed("LINEAR"), 2, "of Type LINEAR needs LinearStepSize"),
        (routed("CANARY", CanarySize=percent(51)), 4, "CanarySize must be at most 50% .* not 51%"),
        (routed("CANARY", CanarySize=instances(2)), 3, "CanarySize must be at most 50% .* not 2 of 3"),
        (routed("LINEAR", LinearStepSize=percent(9)), 20, "LinearStepSize must be 10-50%"),
        (routed("LINEAR", LinearStepSize=instances(1)), 20, "LinearStepSize must be 10-50% .* not 1 of 20"),
        (rolling(percent(4)), 40, "MaximumBatchSize must be 5-50%"),
        (rolling(instances(2)), 3, "MaximumBatchSize must be 5-50% .* not 2 of 3 instances"),
        (rolling(instances(1)), 1, "needs a fleet of at least 2 instances, and this one has 1"),
        (
            rolling(instances(1), RollbackMaximumBatchSize=instances(3)),
            2,
            "RollbackMaximumBatchSize must be 5-100%",
        ),
        (
            routed(
                "CANARY",
                wait_s=300,
                CanarySize=percent(10),
                TerminationWaitInSeconds=300,
                MaximumExecutionTimeoutInSeconds=600,
            ),
            2,
            "MaximumExecutionTimeoutInSeconds 600 must be larger than the deployment's waits, 600 s in all",
        ),
        (
            rolling(instances(1), wait_s=300, MaximumExecutionTimeoutInSeconds=600),
            2,
            "larger than the deployment's waits, 600 s",
        ),
        ({**routed("ALL_AT_ONCE"), **rolling(instances(1))}, 2, "give one of them"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(deployment: Any, count: int, message: str) -> None:
    with pytest.raises(ServiceError, match=message):
        check_deployment(deployment, count)


@pytest.mark.parametrize(
    ("deployment", "count", "steps"),
    [
        ({}, 1, [1.0]),
        (routed("ALL_AT_ONCE"), 1, [1.0]),
        (routed("CANARY", CanarySize=percent(10)), 1, [0.1, 1.0]),
        (routed("CANARY", CanarySize=instances(1)), 4, [0.25, 1.0]),
        (routed("LINEAR", LinearStepSize=percent(50)), 1, [0.5, 1.0]),
        (routed("LINEAR", LinearStepSize=percent(40)), 1, [0.4, 0.8, 1.0]),
        (routed("LINEAR", LinearStepSize=instances(1)), 3, [1 / 3, 2 / 3, 1.0]),
    ],
)
def test_the_new_fleets_part_of_the_traffic_grows_in_steps(
    deployment: Any, count: int, steps: list[float]
) -> None:
    check_deployment(deployment, count)
    assert traffic_steps(deployment, count) == pytest.approx(steps)


@pytest.mark.parametrize(
    ("size", "count", "batch"),
    [(instances(2), 4, 2), (percent(50), 5, 2), (percent(5), 4, 1)],
)
def test_a_batch_is_whole_instances_and_at_least_one(size: Any, count: int, batch: int) -> None:
    assert batch_size(size, count) == batch


@pytest.mark.timeout(10, func_only=True)
async def test_a_deployment_that_takes_too_long_fails() -> None:
    # An empty fleet makes no instance.
    no_launcher: Any = None

    async def no_alarms(_role: str, _names: Sequence[str]) -> dict[str, str]:
        raise AssertionError("a deployment without alarms looks at none")

    none = {"ProductionVariants": [{"VariantName": "Main", "ModelName": "m", "InitialInstanceCount": 0}]}
    old, new = (Fleet(none, {"m": {}}, no_launcher, set()) for _ in range(2))
    # The API takes no limit below 600 s; the fleets are empty, so that only the waits take time.
    limited = routed("CANARY", wait_s=30, CanarySize=percent(10), MaximumExecutionTimeoutInSeconds=0.1)
    rollout = Rollout(old, new, limited, no_alarms)
    with pytest.raises(UpdateFailed, match="not complete after 0.1 s"):
        await rollout.run()
    await rollout.roll_back()
    assert (old.share, new.share) == (1, 0)
