"""Space for the base model and the adapter cache on the disk of an instance."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from loraserve.doctor.answers import unanswered
from loraserve.finding import Finding, ok, problem, unknown
from stacks.config.stage_config import StageConfig

_CHECK = "disk of an instance"
_GB = 10**9


def check_disk(config: StageConfig, ec2: Any, model_bytes: int) -> Finding:
    """Compare with the NVMe of the EC2 type of the same name.

    SageMaker has no API for the disk of its types; its price list names the same sizes as EC2's for those
    with NVMe. The size of other types' volume, if a stage sets none, is documented nowhere.
    """
    name, cache = config.endpoint.instance_type, config.gateway.adapter_cache_gb
    needed = f"the model has {model_bytes / _GB:.1f} GB, the adapter cache {cache:g} GB"
    try:
        answer = ec2.describe_instance_types(InstanceTypes=[name.removeprefix("ml.")])
    except ClientError as error:
        return unanswered(_CHECK, "ec2:DescribeInstanceTypes", error, needed)
    except BotoCoreError as error:
        return unknown(_CHECK, f"{needed}; not checked: {error}")
    disk = answer["InstanceTypes"][0].get("InstanceStorageInfo", {}).get("TotalSizeInGB")
    if disk is None:
        return unknown(_CHECK, f"{needed}; the disk of {name} is not known")
    found = f"{needed}, {name} a disk of {disk} GB"
    if model_bytes + cache * _GB < disk * _GB:
        return ok(_CHECK, found)
    return problem(
        _CHECK, found, "write a smaller gateway.adapter_cache_gb, or an endpoint.instance_type with more disk"
    )
