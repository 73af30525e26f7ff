"""Application Auto Scaling's control plane: scalable targets, scaling policies and scheduled actions.

The loop of `loop.py` carries them out.
"""

from __future__ import annotations

from collections.abc import Callable

from laptop_cloud.api.account import Account
from laptop_cloud.api.keyed_records import KeyedRecords, check_order
from laptop_cloud.api.service import Params, Service, invalid, refuse_others
from laptop_cloud.autoscaling.activities import ScalingActivities
from laptop_cloud.autoscaling.alarms import alarms
from laptop_cloud.autoscaling.clock import ScalingClock
from laptop_cloud.autoscaling.load import VariantLoad
from laptop_cloud.autoscaling.loop import ScalingLoop
from laptop_cloud.autoscaling.records import TARGET_KEY, ScalingRecords, endpoint_of, variant_of
from laptop_cloud.autoscaling.scheduled import check_schedule
from laptop_cloud.autoscaling.tracking import check_policy
from laptop_cloud.autoscaling.variants import ScaledVariants

_DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_ROLE = (
    "aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)


class AutoScaling(Service):
    """The operations on scalable targets, scaling policies and scheduled actions of one account."""

    def __init__(
        self, account: Account, variants: ScaledVariants, load: VariantLoad, clock: ScalingClock
    ) -> None:
        """Set up the service; its loop starts with the first scalable target.

        Args:
            account: the account and region of the targets.
            variants: reads and scales the variants of SageMaker's endpoints.
            load: the values of the metrics that policies track.
            clock: the time of periods, cooldowns and schedules.
        """
        self._account = account
        self._variants = variants
        self._records = ScalingRecords()
        self._activities = ScalingActivities(clock.now)
        self._loop = ScalingLoop(self._records, variants, load, clock, self._activities)
        super().__init__(
            "application-autoscaling",
            {
                "RegisterScalableTarget": self._followed(self._register),
                "DescribeScalableTargets": lambda p: {
                    "ScalableTargets": self._records.targets.describe("DescribeScalableTargets", p)
                },
                "DeregisterScalableTarget": self._followed(self._deregister),
                "PutScalingPolicy": self._followed(self._put_policy),
                "DescribeScalingPolicies": lambda p: {
                    "ScalingPolicies": self._records.policies.describe("DescribeScalingPolicies", p)
                },
                "DeleteScalingPolicy": self._followed(self._records.policies.remove),
                "PutScheduledAction": self._followed(self._put_schedule),
                "DescribeScheduledActions": lambda p: {
                    "ScheduledActions": self._records.schedules.describe("DescribeScheduledActions", p)
                },
                "DeleteScheduledAction": self._followed(self._records.schedules.remove),
                "DescribeScalingActivities": self._describe_activities,
            },
        )

    async def shut_down(self) -> None:
        """Stop the loop."""
        await self._loop.stop()

    def scaled_variants(self, endpoint: str) -> set[str]:
        """Return the registered variants of `endpoint`."""
        targets = self._records.targets.all()
        return {variant_of(target) for target in targets if endpoint_of(target) == endpoint}

    def _followed(self, operation: Callable[[Params], Params]) -> Callable[[Params], Params]:
        """Return the operation with what follows it: the loop carries out the records as they are then."""

        def run(params: Params) -> Params:
            answer = operation(params)
            self._loop.follow()
            return answer

        return run

    def _register(self, params: Params) -> Params:
        endpoint, variant = _endpoint_and_variant(params)
        self._variants.check(endpoint, variant)
        # Templates of a stage have tags here; no operation returns them.
        given = {name: value for name, value in params.items() if name != "Tags"}
        resource = f"scalable-target/{self._records.targets.uuid(params)}"
        target = {
            "ScalableTargetARN": self._account.arn("application-autoscaling", resource),
            "RoleARN": f"arn:aws:iam::{self._account.id}:role/{_ROLE}",
            **self._records.targets.created(params),
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
        self._records.targets.put(target)
        self._variants.enforce_bounds(endpoint, variant, target["MinCapacity"], target["MaxCapacity"])
        return {"ScalableTargetARN": target["ScalableTargetARN"]}

    def _deregister(self, params: Params) -> Params:
        """Delete the target with its policies and schedules, as the service does."""
        answer = self._records.targets.remove(params)
        self._records.policies.remove_matching(params, *TARGET_KEY)
        self._records.schedules.remove_matching(params, *TARGET_KEY)
        return answer

    def _put_policy(self, params: Params) -> Params:
        self._records.targets.get(params)
        check_policy(params)
        arn = self._arn(self._records.policies, "scalingPolicy", f"policyName/{params['PolicyName']}", params)
        policy = {"PolicyARN": arn, **self._records.policies.created(params), **params}
        policy["Alarms"] = alarms(self._account, policy)
        self._records.policies.put(policy)
        return {"PolicyARN": arn, "Alarms": policy["Alarms"]}

    def _put_schedule(self, params: Params) -> Params:
        self._records.targets.get(params)
        schedules = self._records.schedules
        arn = self._arn(
            schedules, "scheduledAction", f"scheduledActionName/{params['ScheduledActionName']}", params
        )
        action = {"ScheduledActionARN": arn, **schedules.created(params), **params}
        check_schedule(action)
        schedules.put(action)
        return {}

    def _describe_activities(self, params: Params) -> Params:
        refuse_others("DescribeScalingActivities", params, TARGET_KEY)
        return {"ScalingActivities": self._activities.describe(params)}

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
