"""Number of instances and autoscaling, against the template.

A scheduled action replaces the target's limits, so those of each schedule are right, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loraserve.aws import Client
from loraserve.finding import Finding, ok, problem, unknown
from loraserve.verify.endpoint import live_endpoint
from loraserve.verify.expected import Expected
from stacks.config.stage_target import StageTarget

_NAMESPACE = "sagemaker"
_DIMENSION = "sagemaker:variant:DesiredInstanceCount"


def check_capacity(target: StageTarget, client: Client, expected: Expected) -> Iterator[Finding]:
    """Compare the endpoint's counts, its scalable target, policies and scheduled actions."""
    live = live_endpoint(client("sagemaker"), target.endpoint_name)
    if live is None or "ProductionVariants" not in live:
        yield unknown("instances", f"not checked: {target.endpoint_name} has no instances")
        return
    wanted = list(expected.resources("AWS::ApplicationAutoScaling::ScalableTarget"))
    scaling = client("application-autoscaling")
    redeploy = f"deploy the stack again: `make deploy STAGE={target.name}`, which registers it"
    for variant in live["ProductionVariants"]:
        resource = f"endpoint/{target.endpoint_name}/variant/{variant['VariantName']}"
        own = {"ServiceNamespace": _NAMESPACE, "ScalableDimension": _DIMENSION}
        registered = scaling.describe_scalable_targets(ResourceIds=[resource], **own)["ScalableTargets"]
        scaled = [properties for properties in wanted if properties["ResourceId"] == resource]
        if not scaled:
            yield _unscaled(variant, registered, expected)
        elif not registered:
            yield _counts(variant, _limits(scaled[0]))
            yield problem("autoscaling", f"{resource} is not registered: the fleet does not scale", redeploy)
        else:
            yield _counts(variant, _limits(scaled[0]))
            yield _target(scaled[0], registered[0], redeploy)
            yield _policies(scaling, resource, own, expected, redeploy)
            yield _schedules(scaling, resource, own, scaled[0], redeploy)


def _limits(properties: Mapping[str, Any]) -> list[tuple[int, int]]:
    """List the limits that the target may have: its own, and those of each schedule."""
    actions = [action["ScalableTargetAction"] for action in properties.get("ScheduledActions", [])]
    return [(int(each["MinCapacity"]), int(each["MaxCapacity"])) for each in (properties, *actions)]


def _counts(variant: Mapping[str, Any], limits: list[tuple[int, int]]) -> Finding:
    current, desired = variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]
    low, high = min(low for low, _ in limits), max(high for _, high in limits)
    found = f"{current} of {desired} instances, limits {low} to {high}"
    if current < low or not low <= desired <= high:
        return problem(
            "instances",
            found,
            "look for InsufficientInstanceCapacity in the endpoint's events and for the instance quota",
        )
    return ok("instances", found)


def _unscaled(variant: Mapping[str, Any], registered: list[Any], expected: Expected) -> Finding:
    [config] = expected.resources("AWS::SageMaker::EndpointConfig")
    wanted = config["ProductionVariants"][0]["InitialInstanceCount"]
    current, desired = variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]
    found = f"{current} of {desired} instances, without autoscaling; the template has {wanted}"
    if registered:
        return problem(
            "autoscaling",
            f"{registered[0]['ResourceId']} is registered, and the template has no autoscaling",
            "deregister it: `aws application-autoscaling deregister-scalable-target --service-namespace "
            f"{_NAMESPACE} --scalable-dimension {_DIMENSION} --resource-id {registered[0]['ResourceId']}`",
        )
    if not current == desired == wanted:
        return problem("instances", found, "deploy the stage again; look at the instance quota")
    return ok("instances", found)


def _target(wanted: Mapping[str, Any], found: Mapping[str, Any], redeploy: str) -> Finding:
    limits = (found["MinCapacity"], found["MaxCapacity"])
    text = f"{limits[0]} to {limits[1]} instances"
    suspended = [name for name, is_off in found.get("SuspendedState", {}).items() if is_off]
    if suspended:
        return problem(
            "autoscaling",
            f"{text}; {' and '.join(suspended)}: the fleet does not follow its load",
            "resume it: `aws application-autoscaling register-scalable-target --service-namespace "
            f"{_NAMESPACE} --scalable-dimension {_DIMENSION} --resource-id {found['ResourceId']} "
            "--suspended-state DynamicScalingInSuspended=false,DynamicScalingOutSuspended=false,"
            "ScheduledScalingSuspended=false`",
        )
    if limits not in _limits(wanted):
        return problem("autoscaling", f"{text}; the template has {_written(_limits(wanted))}", redeploy)
    return ok("autoscaling", text)


def _written(limits: list[tuple[int, int]]) -> str:
    return " or ".join(f"{low} to {high}" for low, high in limits)


def _policies(
    scaling: Any, resource: str, own: Mapping[str, str], expected: Expected, redeploy: str
) -> Finding:
    pages = scaling.get_paginator("describe_scaling_policies").paginate(ResourceId=resource, **own)
    found = {
        policy["PolicyName"]: policy.get("TargetTrackingScalingPolicyConfiguration", {})
        for page in pages
        for policy in page["ScalingPolicies"]
    }
    for properties in expected.resources("AWS::ApplicationAutoScaling::ScalingPolicy"):
        name = properties["PolicyName"]
        wanted = properties["TargetTrackingScalingPolicyConfiguration"]
        if name not in found:
            return problem("scaling policy", f"{name} is missing: the fleet does not scale", redeploy)
        live = found[name].get("TargetValue")
        if live is None or float(live) != float(wanted["TargetValue"]):
            return problem(
                "scaling policy", f"{name} aims at {live}, the template at {wanted['TargetValue']}", redeploy
            )
    return ok("scaling policy", ", ".join(sorted(found)) or "none")


def _schedules(
    scaling: Any, resource: str, own: Mapping[str, str], wanted: Mapping[str, Any], redeploy: str
) -> Finding:
    pages = scaling.get_paginator("describe_scheduled_actions").paginate(ResourceId=resource, **own)
    found = {_schedule(action) for page in pages for action in page["ScheduledActions"]}
    declared = {_schedule(action) for action in wanted.get("ScheduledActions", [])}
    if found != declared:
        names = sorted({name for name, *_ in found ^ declared})
        return problem("scheduled actions", f"not as in the template: {', '.join(names)}", redeploy)
    return ok("scheduled actions", ", ".join(sorted(name for name, *_ in found)) or "none")


def _schedule(action: Mapping[str, Any]) -> tuple[str, str, str, int, int]:
    limits = action["ScalableTargetAction"]
    return (
        action["ScheduledActionName"],
        action["Schedule"],
        action.get("Timezone", "UTC"),
        int(limits["MinCapacity"]),
        int(limits["MaxCapacity"]),
    )
