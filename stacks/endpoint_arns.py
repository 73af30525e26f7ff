"""ARNs of an endpoint, for its callers' policies."""

from __future__ import annotations

import aws_cdk as cdk


def endpoint_arns(stack: cdk.Stack, endpoint_name: str) -> list[str]:
    """Return the ARNs of an endpoint in the stack's account and region.

    SageMaker writes names in ARNs in lower case. Its documentation does not say so for policies: hence both
    spellings.
    """
    return [
        stack.format_arn(service="sagemaker", resource="endpoint", resource_name=name)
        for name in sorted({endpoint_name, endpoint_name.lower()})
    ]
