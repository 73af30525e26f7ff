"""Stacks as CloudFormation has them; a stack that does not exist is an answer, not an error."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError


def described(cloudformation: Any, name: str) -> dict[str, Any] | None:
    """Describe a stack; None if it does not exist."""
    try:
        found: dict[str, Any] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if _is_missing(error):
            return None
        raise
    return found


def resources(cloudformation: Any, stack: str) -> set[tuple[str, str]]:
    """List type and name of the resources of a stack; empty if the stack does not exist.

    Names are in lower case, because older ARNs of SageMaker are (boto3 #4606, YACE #1178).
    """
    try:
        pages = list(cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack))
    except ClientError as error:
        if _is_missing(error):
            return set()
        raise
    return {
        (resource["ResourceType"], _name(resource.get("PhysicalResourceId", "")).lower())
        for page in pages
        for resource in page["StackResourceSummaries"]
        if resource["ResourceStatus"] != "DELETE_COMPLETE"
    }


def _is_missing(error: ClientError) -> bool:
    """Recognize CloudFormation's error for a stack that does not exist; it has no separate code."""
    said = error.response["Error"]
    return said["Code"] == "ValidationError" and "does not exist" in said.get("Message", "")


def _name(physical_id: str) -> str:
    """Return the name in a physical id, which is the ARN for some types; log groups have slashes in it."""
    return physical_id.rpartition("/")[2] if physical_id.startswith("arn:") else physical_id
