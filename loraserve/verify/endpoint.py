"""The endpoint and its config as SageMaker describes them."""

from __future__ import annotations

import time
from typing import Any

from botocore.exceptions import ClientError

from adapters.store.s3 import error_code

#: Statuses of an endpoint that end by themselves (DescribeEndpoint, `EndpointStatus`).
BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack")
#: Seconds between two looks, and until the endpoint must be settled.
LOOK_SECONDS, SETTLED_SECONDS = 5.0, 3600.0


def settled_endpoint(sagemaker: Any, name: str) -> dict[str, Any] | None:
    """Describe the endpoint once no operation is under way; None if it does not exist."""
    until = time.monotonic() + SETTLED_SECONDS
    while True:
        found = _described(sagemaker.describe_endpoint, EndpointName=name)
        if found is None or found["EndpointStatus"] not in BUSY or time.monotonic() > until:
            return found
        time.sleep(LOOK_SECONDS)


def live_endpoint(sagemaker: Any, name: str) -> dict[str, Any] | None:
    """Describe the endpoint as it is; None if it does not exist."""
    return _described(sagemaker.describe_endpoint, EndpointName=name)


def endpoint_config(sagemaker: Any, name: str) -> dict[str, Any] | None:
    """Describe an endpoint config; None if it is deleted, which SageMaker allows of a config in use."""
    return _described(sagemaker.describe_endpoint_config, EndpointConfigName=name)


def model(sagemaker: Any, name: str) -> dict[str, Any] | None:
    """Describe a model; None if it is deleted."""
    return _described(sagemaker.describe_model, ModelName=name)


def stack_config(cloudformation: Any, stack: str) -> str:
    """Return the name of the endpoint config that a serving stack has; raises boto3's errors."""
    found = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId="EndpointConfig")
    physical: str = found["StackResourceDetail"]["PhysicalResourceId"]
    return physical.rpartition("/")[2]


def _described(describe: Any, **name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = describe(**name)
    except ClientError as error:
        # SageMaker has no separate code for a resource that does not exist.
        said = error.response["Error"].get("Message", "")
        if error_code(error) == "ValidationException" and "Could not find" in said:
            return None
        raise
    return found
