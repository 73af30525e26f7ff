"""VPC endpoints: S3 for the instances, and SageMaker's runtime for callers in the VPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from stacks.endpoint_arns import endpoint_arns

HTTPS = 443
#: EC2 allows all outbound traffic of a security group without egress rules; this rule matches nothing.
NOTHING_OUT = ec2.CfnSecurityGroup.EgressProperty(
    ip_protocol="icmp", from_port=252, to_port=86, cidr_ip="255.255.255.255/32", description="Nothing"
)


def s3_endpoint(
    scope: Construct, *, vpc_id: str, route_table_id: str, allowed: Mapping[str, Sequence[str]] | None
) -> None:
    """Create S3's gateway endpoint for the route table's subnets.

    `allowed` has the resource ARNs of each action; None leaves the restriction to roles.
    """
    ec2.CfnVPCEndpoint(
        scope,
        "S3",
        vpc_endpoint_type="Gateway",
        service_name=f"com.amazonaws.{cdk.Stack.of(scope).region}.s3",
        vpc_id=vpc_id,
        route_table_ids=[route_table_id],
        policy_document=None if allowed is None else _allow(allowed),
    )


def runtime_endpoint(
    scope: Construct, *, vpc_id: str, subnet_ids: Sequence[str], cidr: str, endpoint_name: str
) -> None:
    """Create the interface endpoint for callers in the VPC (addresses `cidr`); it allows one endpoint."""
    group = ec2.CfnSecurityGroup(
        scope,
        "RuntimeGroup",
        vpc_id=vpc_id,
        group_description="Callers of the SageMaker endpoint",
        security_group_ingress=[
            ec2.CfnSecurityGroup.IngressProperty(
                ip_protocol="tcp", from_port=HTTPS, to_port=HTTPS, cidr_ip=cidr, description="From the VPC"
            )
        ],
        security_group_egress=[NOTHING_OUT],
    )
    stack = cdk.Stack.of(scope)
    arns = endpoint_arns(stack, endpoint_name)
    ec2.CfnVPCEndpoint(
        scope,
        "Runtime",
        vpc_endpoint_type="Interface",
        service_name=f"com.amazonaws.{stack.region}.sagemaker.runtime",
        vpc_id=vpc_id,
        subnet_ids=list(subnet_ids),
        security_group_ids=[group.attr_group_id],
        private_dns_enabled=True,
        policy_document=_allow(
            {
                "sagemaker:InvokeEndpoint": arns,
                "sagemaker:InvokeEndpointWithResponseStream": arns,
                # Bearer tokens of the OpenAI-compatible path; the action has no resources.
                "sagemaker:CallWithBearerToken": ["*"],
            }
        ),
    )


def _allow(resources: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """Make a VPC endpoint's policy: each action on its resources, for every principal that a role allows."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": action, "Resource": list(arns)}
            for action, arns in resources.items()
        ],
    }
