"""The ARNs of an endpoint, for the policies of those who call it."""

from __future__ import annotations

import aws_cdk as cdk


def endpoint_arns(stack: cdk.Stack, endpoint_name: str) -> list[str]:
    """Of an endpoint in the stack's account and region.

    SageMaker writes names in ARNs in lower case; whether it does so for policies is not documented, so the
    name as it is stands beside it.
    """
    return [
        stack.format_arn(service="sagemaker", resource="endpoint", resource_name=name)
        for name in sorted({endpoint_name, endpoint_name.lower()})
    ]
