"""A DeploymentConfig: the rules that the API's model does not hold, and the steps of a deployment.

The bounds are those of the API reference (`CapacitySize` in `TrafficRoutingConfig` and
`RollingUpdatePolicy`) and of the developer guide's chapter on deployment guardrails.
"""

from __future__ import annotations

import math

from laptop_cloud.api.service import Params, invalid


def check_deployment(deployment: Params, count: int) -> None:
    """Raise `ServiceError` if the policy does not fit a fleet of `count` instances."""
    blue_green, rolling = deployment.get("BlueGreenUpdatePolicy"), deployment.get("RollingUpdatePolicy")
    if blue_green and rolling:
        raise invalid(
            "DeploymentConfig has both BlueGreenUpdatePolicy and RollingUpdatePolicy: give one of them"
        )
    if blue_green:
        _check_routing(blue_green["TrafficRoutingConfiguration"], count)
    if rolling:
        _check_rolling(rolling, count)
    _check_time(deployment, count)


def traffic_steps(deployment: Params, count: int) -> list[float]:
    """Return the new fleet's shares of the traffic in a blue/green deployment, one per step, up to 1.0."""
    routing = deployment.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    kind = routing.get("Type", "ALL_AT_ONCE")
    if kind == "CANARY":
        return [fraction(routing["CanarySize"], count), 1.0]
    if kind == "LINEAR":
        step = fraction(routing["LinearStepSize"], count)
        # 1/3 + 1/3 + 1/3 are three steps in spite of rounding.
        number = math.ceil(round(1 / step, 6))
        return [min(1.0, step * (n + 1)) for n in range(number - 1)] + [1.0]
    return [1.0]


def batch_size(size: Params, count: int) -> int:
    """Return the instances of a batch, at least one. The size is a maximum, so the result is rounded down."""
    if size["Type"] == "INSTANCE_COUNT":
        return int(size["Value"])
    return max(1, count * int(size["Value"]) // 100)


def fraction(size: Params, count: int) -> float:
    """Return a CapacitySize as a fraction of a fleet of `count` instances."""
    return float(size["Value"] / (count if size["Type"] == "INSTANCE_COUNT" else 100))


def alarm_names(deployment: Params) -> list[str]:
    """Return the names of the alarms that roll a deployment back."""
    alarms = deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    return [alarm["AlarmName"] for alarm in alarms if "AlarmName" in alarm]


def time_limit(deployment: Params) -> int | None:
    """Return MaximumExecutionTimeoutInSeconds of the policy, or None."""
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


def _check_rolling(policy: Params, count: int) -> None:
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


def _check_time(deployment: Params, count: int) -> None:
    """Raise `ServiceError` if the waits of the deployment exceed its time limit."""
    limit = time_limit(deployment)
    if limit is None:
        return
    if rolling := deployment.get("RollingUpdatePolicy"):
        batches = math.ceil(count / batch_size(rolling["MaximumBatchSize"], count))
        waits = batches * rolling["WaitIntervalInSeconds"]
    else:
        policy = deployment["BlueGreenUpdatePolicy"]
        steps = len(traffic_steps(deployment, count)) - 1
        waits = steps * policy["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"]
        waits += policy.get("TerminationWaitInSeconds", 0)
    if waits >= limit:
        raise invalid(
            f"MaximumExecutionTimeoutInSeconds {limit} must be larger than the deployment's waits, {waits} s "
            "in all"
        )
