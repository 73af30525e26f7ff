"""The CloudFormation types of Application Auto Scaling."""

from __future__ import annotations

from laptop_cloud.api.service import Params, ServiceError
from laptop_cloud.cloudformation.sagemaker_types import Created, typed
from laptop_cloud.services import Services

SERVICE = "application-autoscaling"
_TARGET = ("ResourceId", "ScalableDimension", "ServiceNamespace")


class ScalableTargetType:
    """`AWS::ApplicationAutoScaling::ScalableTarget`, with its scheduled actions."""

    name = "AWS::ApplicationAutoScaling::ScalableTarget"
    name_property = None
    taggable = False

    def create_only(self) -> tuple[str, ...]:
        """Return the properties that identify the target."""
        return _TARGET

    async def create(self, services: Services, logical_id: str, props: Params) -> Created:
        """Register the target and put its scheduled actions."""
        target = {key: value for key, value in props.items() if key not in ("ScheduledActions", "Tags")}
        if "Tags" in props:  # a list in CloudFormation, a map in the API
            target["Tags"] = {tag["Key"]: tag["Value"] for tag in props["Tags"]}
        services.autoscaling.call("RegisterScalableTarget", typed(SERVICE, "RegisterScalableTarget", target))
        for action in props.get("ScheduledActions", []):
            params = {**action, **{key: props[key] for key in _TARGET}}
            services.autoscaling.call("PutScheduledAction", typed(SERVICE, "PutScheduledAction", params))
        ident = "|".join(props[key] for key in _TARGET)
        return ident, {"Id": ident}

    async def update(self, services: Services, physical_id: str, old: Params, new: Params) -> Created:
        """Register the target again, and delete the scheduled actions that the template no longer has."""
        kept = {action["ScheduledActionName"] for action in new.get("ScheduledActions", [])}
        for action in old.get("ScheduledActions", []):
            if action["ScheduledActionName"] not in kept:
                name = {"ScheduledActionName": action["ScheduledActionName"]}
                _unless_gone(services, "DeleteScheduledAction", {**name, **_target(physical_id)})
        return await self.create(services, "", new)

    async def delete(self, services: Services, physical_id: str) -> None:
        """Deregister the target, with its policies and scheduled actions."""
        _unless_gone(services, "DeregisterScalableTarget", _target(physical_id))


class ScalingPolicyType:
    """`AWS::ApplicationAutoScaling::ScalingPolicy`."""

    name = "AWS::ApplicationAutoScaling::ScalingPolicy"
    name_property = None
    taggable = False

    def create_only(self) -> tuple[str, ...]:
        """Return the properties with its name and its target."""
        return ("PolicyName", "ScalingTargetId", *_TARGET)

    async def create(self, services: Services, logical_id: str, props: Params) -> Created:
        """Put the policy on its target, given as one id or as three properties."""
        given = {key: value for key, value in props.items() if key != "ScalingTargetId"}
        if "ScalingTargetId" in props:
            given.update(_target(props["ScalingTargetId"]))
        arn = services.autoscaling.call("PutScalingPolicy", typed(SERVICE, "PutScalingPolicy", given))[
            "PolicyARN"
        ]
        return arn, {"Arn": arn, "PolicyName": given["PolicyName"]}

    async def update(self, services: Services, physical_id: str, old: Params, new: Params) -> Created:
        """Put the policy again."""
        return await self.create(services, "", new)

    async def delete(self, services: Services, physical_id: str) -> None:
        """Delete the policy."""
        policies = services.autoscaling.call("DescribeScalingPolicies", {"ServiceNamespace": "sagemaker"})
        for policy in policies["ScalingPolicies"]:
            if policy["PolicyARN"] == physical_id:
                names = ("PolicyName", *_TARGET)
                services.autoscaling.call("DeleteScalingPolicy", {key: policy[key] for key in names})


def _target(ident: str) -> Params:
    """Return the three parameters in a target's physical id, `resource id|dimension|namespace`."""
    return dict(zip(_TARGET, ident.split("|"), strict=True))


def _unless_gone(services: Services, operation: str, params: Params) -> None:
    try:
        services.autoscaling.call(operation, params)
    except ServiceError as error:
        if error.code != "ObjectNotFoundException":
            raise
