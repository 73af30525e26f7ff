"""What serves in a stage, for the record of its deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loraserve.aws import Client
from loraserve.release.deployed_assembly import deployed_stacks, templates_sha256
from loraserve.verify.endpoint import endpoint_config, live_endpoint
from loraserve.verify.image import serving_image_digest
from stacks.config.stage_target import StageTarget


@dataclass(frozen=True, kw_only=True)
class WhatServes:
    """Stacks, endpoint and image; the fields are those of `DeploymentRecord`."""

    templates: Mapping[str, str]
    endpoint_config: str | None
    instance_type: str | None
    image_digest: str | None


def what_serves(target: StageTarget, client: Client) -> WhatServes:
    """Ask CloudFormation and SageMaker; raises boto3's errors."""
    sagemaker = client("sagemaker")
    live = live_endpoint(sagemaker, target.endpoint_name)
    name = None if live is None else live.get("EndpointConfigName")
    config = None if name is None else endpoint_config(sagemaker, name)
    return WhatServes(
        templates=templates_sha256(deployed_stacks(target, client)),
        endpoint_config=name,
        instance_type=None if config is None else config["ProductionVariants"][0].get("InstanceType"),
        image_digest=serving_image_digest(target, client),
    )
