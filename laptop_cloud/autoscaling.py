"""Application Auto Scaling's control plane: it keeps a variant within its target's bounds.

Policies and scheduled actions are checked as the service checks them and kept, and never carried out.
"""

from __future__ import annotations

from collections.abc import Callable

from laptop_cloud.api.account import Place
from laptop_cloud.api.keyed_records import Keyed, check_order
from laptop_cloud.api.service import Params, Service, invalid

_TARGET = ("ServiceNamespace", "ResourceId", "ScalableDimension")
_DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_ROLE = (
    "aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)


class AutoScaling(Service):
    """The operations on scalable targets, scaling policies and scheduled actions of one place."""

    def __init__(
        self,
        place: Place,
        check_variant: Callable[[str, str], None],
        hold_within: Callable[[str, str, int, int], None],
    ) -> None:
        """SageMaker's endpoints are given as functions.

        Args:
            place: the account and region of the targets.
            check_variant: `(endpoint, variant)` raises `ServiceError` if there is no such variant.
            hold_within: `(endpoint, variant, low, high)` brings the variant's count into the bounds.
        """
        self._place = place
        self._check_variant = check_variant
        self._hold_within = hold_within
        self._targets = Keyed("scalable target", *_TARGET)
        self._policies = Keyed("scaling policy", "PolicyName", *_TARGET)
        self._schedules = Keyed("scheduled action", "ScheduledActionName", *_TARGET)
        super().__init__(
            "application-autoscaling",
            {
                "RegisterScalableTarget": self._register,
                "DescribeScalableTargets": lambda p: self._targets.page(p, "ScalableTargets"),
                "DeregisterScalableTarget": self._deregister,
                "PutScalingPolicy": self._put_policy,
                "DescribeScalingPolicies": lambda p: self._policies.page(p, "ScalingPolicies"),
                "DeleteScalingPolicy": self._policies.remove,
                "PutScheduledAction": self._put_schedule,
                "DescribeScheduledActions": lambda p: self._schedules.page(p, "ScheduledActions"),
                "DeleteScheduledAction": self._schedules.remove,
            },
        )

    def scaled_variants(self, endpoint: str) -> set[str]:
        """The variants of `endpoint` that are registered."""
        resources = [target["ResourceId"].split("/") for target in self._targets.all()]
        return {parts[3] for parts in resources if parts[1] == endpoint}

    def _register(self, params: Params) -> Params:
        endpoint, variant = _endpoint_and_variant(params)
        self._check_variant(endpoint, variant)
        given = {name: value for name, value in params.items() if name != "Tags"}
        resource = f"scalable-target/{self._targets.identity(params)}"
        target = {
            "ScalableTargetARN": self._place.arn("application-autoscaling", resource),
            "RoleARN": f"arn:aws:iam::{self._place.account}:role/{_ROLE}",
            **self._targets.fresh(params),
            **given,
        }
        for bound in ("MinCapacity", "MaxCapacity"):
            if bound not in target:
                raise invalid(f"{bound} is required to register {params['ResourceId']} for the first time")
        if target["MinCapacity"] < 1:
            raise invalid(
                f"MinCapacity {target['MinCapacity']} is too low: a variant has at least 1 instance"
            )
        check_order(target, "MinCapacity", "MaxCapacity")
        self._targets.put(target)
        self._hold_within(endpoint, variant, target["MinCapacity"], target["MaxCapacity"])
        return {"ScalableTargetARN": target["ScalableTargetARN"]}

    def _deregister(self, params: Params) -> Params:
        """The target's policies and schedules go with it, as in the service."""
        answer = self._targets.remove(params)
        self._policies.remove_of(params, *_TARGET)
        self._schedules.remove_of(params, *_TARGET)
        return answer

    def _put_policy(self, params: Params) -> Params:
        self._targets.get(params)
        given = {"PolicyType": "StepScaling", **params}
        wanted = f"{given['PolicyType']}PolicyConfiguration"
        if wanted not in given:
            raise invalid(f"a policy of PolicyType {given['PolicyType']} needs {wanted}")
        metric = given[wanted].get("PredefinedMetricSpecification", {}).get("PredefinedMetricType", "")
        if metric and not metric.startswith("SageMakerVariant"):
            raise invalid(f"PredefinedMetricType {metric} does not go with ScalableDimension {_DIMENSION}")
        arn = self._arn(self._policies, "scalingPolicy", f"policyName/{params['PolicyName']}", params)
        self._policies.put({"PolicyARN": arn, **self._policies.fresh(params), **given})
        return {"PolicyARN": arn, "Alarms": []}

    def _put_schedule(self, params: Params) -> Params:
        self._targets.get(params)
        label = f"scheduledActionName/{params['ScheduledActionName']}"
        arn = self._arn(self._schedules, "scheduledAction", label, params)
        self._schedules.put({"ScheduledActionARN": arn, **self._schedules.fresh(params), **params})
        return {}

    def _arn(self, records: Keyed, kind: str, label: str, params: Params) -> str:
        resource = f"{params['ServiceNamespace']}/{params['ResourceId']}"
        return self._place.arn(
            "autoscaling", f"{kind}:{records.identity(params)}:resource/{resource}:{label}"
        )


def _endpoint_and_variant(params: Params) -> tuple[str, str]:
    """The endpoint and the variant of `endpoint/NAME/variant/NAME`."""
    if params["ServiceNamespace"] != "sagemaker":
        raise invalid(f"the laptop cloud scales sagemaker variants only, not {params['ServiceNamespace']}")
    if params["ScalableDimension"] != _DIMENSION:
        raise invalid(f"ScalableDimension {params['ScalableDimension']} is not {_DIMENSION}")
    parts = params["ResourceId"].split("/")
    if len(parts) != 4 or (parts[0], parts[2]) != ("endpoint", "variant"):
        raise invalid(f"ResourceId {params['ResourceId']!r} must be endpoint/<endpoint>/variant/<variant>")
    return parts[1], parts[3]
