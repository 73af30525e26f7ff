"""Application Auto Scaling's control plane: it keeps a variant within its target's bounds.

Scaling policies and scheduled actions are validated and stored, and never executed.
"""

from __future__ import annotations

from collections.abc import Callable

from laptop_cloud.api.account import Account
from laptop_cloud.api.keyed_records import KeyedRecords, check_order
from laptop_cloud.api.service import Params, Service, invalid

_TARGET = ("ServiceNamespace", "ResourceId", "ScalableDimension")
_DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_ROLE = (
    "aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)


class AutoScaling(Service):
    """The operations on scalable targets, scaling policies and scheduled actions of one account."""

    def __init__(
        self,
        account: Account,
        check_variant: Callable[[str, str], None],
        enforce_bounds: Callable[[str, str, int, int], None],
    ) -> None:
        """Take SageMaker's endpoints as functions.

        Args:
            account: the account and region of the targets.
            check_variant: `(endpoint, variant)` raises `ServiceError` if there is no such variant.
            enforce_bounds: `(endpoint, variant, low, high)` scales the variant into the bounds.
        """
        self._account = account
        self._check_variant = check_variant
        self._enforce_bounds = enforce_bounds
        self._targets = KeyedRecords("scalable target", *_TARGET)
        self._policies = KeyedRecords("scaling policy", "PolicyName", *_TARGET)
        self._schedules = KeyedRecords("scheduled action", "ScheduledActionName", *_TARGET)
        super().__init__(
            "application-autoscaling",
            {
                "RegisterScalableTarget": self._register,
                "DescribeScalableTargets": lambda p: {
                    "ScalableTargets": self._targets.describe("DescribeScalableTargets", p)
                },
                "DeregisterScalableTarget": self._deregister,
                "PutScalingPolicy": self._put_policy,
                "DescribeScalingPolicies": lambda p: {
                    "ScalingPolicies": self._policies.describe("DescribeScalingPolicies", p)
                },
                "DeleteScalingPolicy": self._policies.remove,
                "PutScheduledAction": self._put_schedule,
                "DescribeScheduledActions": lambda p: {
                    "ScheduledActions": self._schedules.describe("DescribeScheduledActions", p)
                },
                "DeleteScheduledAction": self._schedules.remove,
            },
        )

    def scaled_variants(self, endpoint: str) -> set[str]:
        """Return the registered variants of `endpoint`."""
        resources = [target["ResourceId"].split("/") for target in self._targets.all()]
        return {parts[3] for parts in resources if parts[1] == endpoint}

    def _register(self, params: Params) -> Params:
        endpoint, variant = _endpoint_and_variant(params)
        self._check_variant(endpoint, variant)
        # Templates of a stage have tags here; no operation returns them.
        given = {name: value for name, value in params.items() if name != "Tags"}
        resource = f"scalable-target/{self._targets.uuid(params)}"
        target = {
            "ScalableTargetARN": self._account.arn("application-autoscaling", resource),
            "RoleARN": f"arn:aws:iam::{self._account.id}:role/{_ROLE}",
            **self._targets.created(params),
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
        self._enforce_bounds(endpoint, variant, target["MinCapacity"], target["MaxCapacity"])
        return {"ScalableTargetARN": target["ScalableTargetARN"]}

    def _deregister(self, params: Params) -> Params:
        """Delete the target with its policies and schedules, as the service does."""
        answer = self._targets.remove(params)
        self._policies.remove_matching(params, *_TARGET)
        self._schedules.remove_matching(params, *_TARGET)
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
        self._policies.put({"PolicyARN": arn, **self._policies.created(params), **given})
        return {"PolicyARN": arn, "Alarms": []}

    def _put_schedule(self, params: Params) -> Params:
        self._targets.get(params)
        label = f"scheduledActionName/{params['ScheduledActionName']}"
        arn = self._arn(self._schedules, "scheduledAction", label, params)
        self._schedules.put({"ScheduledActionARN": arn, **self._schedules.created(params), **params})
        return {}

    def _arn(self, records: KeyedRecords, kind: str, label: str, params: Params) -> str:
        resource = f"{params['ServiceNamespace']}/{params['ResourceId']}"
        return self._account.arn("autoscaling", f"{kind}:{records.uuid(params)}:resource/{resource}:{label}")


def _endpoint_and_variant(params: Params) -> tuple[str, str]:
    """Return the endpoint and the variant of `endpoint/NAME/variant/NAME`."""
    if params["ServiceNamespace"] != "sagemaker":
        raise invalid(f"the laptop cloud scales sagemaker variants only, not {params['ServiceNamespace']}")
    if params["ScalableDimension"] != _DIMENSION:
        raise invalid(f"ScalableDimension {params['ScalableDimension']} is not {_DIMENSION}")
    parts = params["ResourceId"].split("/")
    if len(parts) != 4 or (parts[0], parts[2]) != ("endpoint", "variant"):
        raise invalid(f"ResourceId {params['ResourceId']!r} must be endpoint/<endpoint>/variant/<variant>")
    return parts[1], parts[3]
