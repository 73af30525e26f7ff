"""An expected stage of two stacks."""

from __future__ import annotations

from typing import Any

from adapters.store.layout import RegistryEntry, revision_of
from loraserve.verify.expected import Expected, ExpectedStack
from stacks.config.stage_target import StageTarget

PROD = StageTarget(name="prod", account="333333333333", region="us-east-1")
ENDPOINT = PROD.endpoint_name
RESOURCE = f"endpoint/{ENDPOINT}/variant/AllTraffic"
POLICY = {
    "PolicyName": f"{ENDPOINT}-concurrent-requests",
    "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 5},
}
NIGHT = {
    "ScheduledActionName": "night",
    "Schedule": "cron(0 20 * * ? *)",
    "Timezone": "Europe/Berlin",
    "ScalableTargetAction": {"MinCapacity": 1, "MaxCapacity": 2},
}
TARGET = {"ResourceId": RESOURCE, "MinCapacity": 2, "MaxCapacity": 4, "ScheduledActions": [NIGHT]}


def template(**resources: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "Resources": {
            name: {"Type": kind, "Properties": properties} for name, (kind, properties) in resources.items()
        }
    }


SERVING = template(
    EndpointConfig=(
        "AWS::SageMaker::EndpointConfig",
        {"ProductionVariants": [{"VariantName": "AllTraffic", "InitialInstanceCount": 2}]},
    )
)
SCALING = template(
    Target=("AWS::ApplicationAutoScaling::ScalableTarget", TARGET),
    Policy=("AWS::ApplicationAutoScaling::ScalingPolicy", POLICY),
)


def entry(name: str, digest: str = "a" * 64, owner: str = "LoraServing-Prod-AdapterStore") -> RegistryEntry:
    """A registry entry whose weights are `w` and whose config is `c`."""
    return RegistryEntry(
        name=name,
        revision=revision_of(digest),
        digest=digest,
        rank=8,
        size=1,
        base_model="m",
        source="s3://x/y",
        owner=owner,
    )


def expected(release: str | None = "2026-11-27-1a2b3c4", **stacks: dict[str, Any]) -> Expected:
    return Expected(
        stacks={
            name: ExpectedStack(template=made, termination_protection=True) for name, made in stacks.items()
        },
        adapters=None,
        image_digest=None,
        release=release,
    )
