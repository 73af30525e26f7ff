"""A DeploymentConfig: what it must keep to beyond the API's shape, and the steps that it asks for.

The figures are those of the API reference (`CapacitySize` in `TrafficRoutingConfig` and
`RollingUpdatePolicy`) and of the developer guide's chapter on deployment guardrails.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from laptop_cloud.api.service import Params, invalid


def check_deployment(deployment: Params, counts: Mapping[str, int]) -> None:
    """Raise `ServiceError` if the policy cannot be carried out on variants of `counts` instances."""
    blue_green, rolling = deployment.get("BlueGreenUpdatePolicy"), deployment.get("RollingUpdatePolicy")
    if blue_green and rolling:
        raise invalid(
            "DeploymentConfig has both BlueGreenUpdatePolicy and RollingUpdatePolicy: give one of them"
        )
    if blue_green:
        _check_routing(blue_green["TrafficRoutingConfiguration"], min(counts.values()))
    if rolling:
        _check_rolling(rolling, counts)
    _check_time(deployment, counts)


def traffic_steps(deployment: Params, counts: Mapping[str, int]) -> list[float]:
    """The parts of the traffic, up to 1.0, that a blue/green deployment gives the new fleet in turn."""
    routing = deployment.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    kind = routing.get("Type", "ALL_AT_ONCE")
    smallest = min(counts.values())
    if kind == "CANARY":
        return [fraction(routing["CanarySize"], smallest), 1.0]
    if kind == "LINEAR":
        step = fraction(routing["LinearStepSize"], smallest)
        # 1/3 + 1/3 + 1/3 are three steps, whatever the last bit says.
        number = math.ceil(round(1 / step, 6))
        return [min(1.0, step * (n + 1)) for n in range(number - 1)] + [1.0]
    return [1.0]


def batch_size(size: Params, count: int) -> int:
    """The instances of a batch, at least one: a size is a maximum, so a part of an instance is dropped."""
    if size["Type"] == "INSTANCE_COUNT":
        return int(size["Value"])
    return max(1, count * int(size["Value"]) // 100)


def fraction(size: Params, count: int) -> float:
    """The part of a fleet of `count` instances that a CapacitySize names."""
    return float(size["Value"] / (count if size["Type"] == "INSTANCE_COUNT" else 100))


def alarm_names(deployment: Params) -> list[str]:
    """The alarms that roll a deployment back."""
    alarms = deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    return [alarm["AlarmName"] for alarm in alarms if "AlarmName" in alarm]


def time_limit(deployment: Params) -> int | None:
    """MaximumExecutionTimeoutInSeconds of the one policy, if it has one."""
    policy = deployment.get("RollingUpdatePolicy") or deployment.get("BlueGreenUpdatePolicy") or {}
    limit: int | None = policy.get("MaximumExecutionTimeoutInSeconds")
    return limit


def _check_routing(routing: Params, count: int) -> None:
    needed = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}.get(routing["Type"])
    if needed is None:
        return
    if needed not in routing:
        raise invalid(f"TrafficRoutingConfiguration of Type {routing['Type']} needs {needed}")
    low = 10 if routing["Type"] == "LINEAR" else 0
    _check_size(needed, routing[needed], count, low, 50)


def _check_rolling(policy: Params, counts: Mapping[str, int]) -> None:
    if len(counts) > 1:
        raise invalid(
            "RollingUpdatePolicy is for endpoints of one variant, and this one has "
            f"{', '.join(sorted(counts))}: use BlueGreenUpdatePolicy"
        )
    [count] = counts.values()
    if count < 2:
        raise invalid(
            f"RollingUpdatePolicy needs a fleet of at least 2 instances, and this one has {count}: a batch "
            "is at most 50% of it; use BlueGreenUpdatePolicy, or more instances"
        )
    _check_size("MaximumBatchSize", policy["MaximumBatchSize"], count, 5, 50)
    if "RollbackMaximumBatchSize" in policy:
        _check_size("RollbackMaximumBatchSize", policy["RollbackMaximumBatchSize"], count, 5, 100)


def _check_size(name: str, size: Params, count: int, low: int, high: int) -> None:
    percent = 100 * fraction(size, count)
    if not low <= percent <= high:
        bounds = f"{low}-{high}%" if low else f"at most {high}%"
        unit = "%" if size["Type"] == "CAPACITY_PERCENT" else f" of {count} instances"
        raise invalid(f"{name} must be {bounds} of the variant's instances, not {size['Value']}{unit}")


def _check_time(deployment: Params, counts: Mapping[str, int]) -> None:
    """A deployment whose waits alone take longer than it may take can only fail."""
    limit = time_limit(deployment)
    if limit is None:
        return
    if rolling := deployment.get("RollingUpdatePolicy"):
        [count] = counts.values()
        batches = math.ceil(count / batch_size(rolling["MaximumBatchSize"], count))
        waits = batches * rolling["WaitIntervalInSeconds"]
    else:
        policy = deployment["BlueGreenUpdatePolicy"]
        steps = len(traffic_steps(deployment, counts)) - 1
        waits = steps * policy["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"]
        waits += policy.get("TerminationWaitInSeconds", 0)
    if waits >= limit:
        raise invalid(
            f"MaximumExecutionTimeoutInSeconds {limit} must be larger than the deployment's waits, {waits} s "
            "in all"
        )
