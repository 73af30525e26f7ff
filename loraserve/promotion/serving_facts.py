"""The part of a record that SageMaker knows: the config, the instance type and the image that serve."""

from __future__ import annotations

from dataclasses import dataclass

from loraserve.aws import Client
from loraserve.release.record import DeploymentRecord
from loraserve.verify.endpoint import endpoint_config, live_endpoint
from loraserve.verify.image import serving_image_digest
from stacks.config.stage_target import StageTarget


@dataclass(frozen=True, kw_only=True)
class ServingFacts:
    """Fields of a `DeploymentRecord`; None for what SageMaker does not say."""

    endpoint_config: str | None
    instance_type: str | None
    image_digest: str | None


def serving_facts(target: StageTarget, client: Client, before: DeploymentRecord | None) -> ServingFacts:
    """Describe what serves now; of a config that is deleted, the record `before` knows the instance type."""
    sagemaker = client("sagemaker")
    live = live_endpoint(sagemaker, target.endpoint_name)
    name = None if live is None else live["EndpointConfigName"]
    config = None if name is None else endpoint_config(sagemaker, name)
    if config is not None:
        instance_type = config["ProductionVariants"][0]["InstanceType"]
    else:
        is_known = before is not None and before.endpoint_config == name
        instance_type = before.instance_type if before is not None and is_known else None
    return ServingFacts(
        endpoint_config=name,
        instance_type=instance_type,
        image_digest=serving_image_digest(target, client),
    )
