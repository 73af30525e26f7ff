"""The network of an endpoint in a VPC: subnets, egress and VPC endpoints.

The container's own calls pass through the VPC (to S3 for adapters, in mode `vpc` to the Hub), and so do
SageMaker's transfers of data: the download of a mounted model, the upload of captured requests (developer
guide, "Give SageMaker AI Hosted Endpoints Access to Resources in Your Amazon VPC"). SageMaker pulls the
image, provides the role's credentials, writes logs and delivers requests outside of it, so interface
endpoints for ECR, CloudWatch or STS are not needed. KMS is called by S3. Callers inside the VPC need
`sagemaker.runtime`; `sagemaker.api` would only serve deployments from inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from stacks.network.flow_logs import log_flows
from stacks.network.subnets import InternetAccess, Subnets
from stacks.network.vpc_endpoints import HTTPS, runtime_endpoint, s3_endpoint

Mode = Literal["vpc", "private"]
ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class ExistingVpc:
    """A VPC that is used as it is: only a security group is created."""

    vpc_id: str
    """`vpc-…`."""
    subnet_ids: Sequence[str]
    """For the instances: two at least, in different zones."""


@dataclass(frozen=True, kw_only=True)
class NewVpc:
    """A VPC to create."""

    cidr: str
    """Its addresses, /16 to /26."""
    zones: Sequence[str]
    """Names of its two availability zones; empty for the region's first two."""
    log_retention_days: int
    """Of its flow logs: one of the numbers that CloudWatch Logs takes."""


@dataclass(frozen=True, kw_only=True)
class AllowedResources:
    """All that the VPC endpoints of a private network give access to."""

    bucket_name: str
    """The adapter store's bucket, to read."""
    writable: Sequence[str]
    """Prefixes of the bucket's objects that may be written."""
    endpoint_name: str
    """The SageMaker endpoint, to invoke."""


class NetworkStack(cdk.Stack):
    """A new VPC, or only a security group in an existing one; all of it is deleted with the stack.

    With existing subnets and existing security groups a stage does not need this stack.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        mode: Mode,
        vpc: ExistingVpc | NewVpc,
        allowed: AllowedResources,
        env: cdk.Environment,
    ) -> None:
        """A new VPC of mode `private` has no route to the internet, one of mode `vpc` a NAT gateway."""
        super().__init__(scope, construct_id, env=env, description="Network of a multi-LoRA endpoint")
        if isinstance(vpc, NewVpc):
            vpc_id = self._new_vpc(mode, vpc, allowed)
        else:
            vpc_id = vpc.vpc_id
            self.subnet_ids = list(vpc.subnet_ids)
            """For the model's `VpcConfig`."""
            cdk.Annotations.of(self).add_info_v2("lora-serving:given-vpc", _owners_part(mode, vpc_id))
        self.security_group_ids = [self._instances_group(vpc_id)]
        """For the model's `VpcConfig`."""
        cdk.CfnOutput(self, "VpcId", value=vpc_id)

    def _new_vpc(self, mode: Mode, options: NewVpc, allowed: AllowedResources) -> str:
        """Create the VPC; nothing uses its default security group: CloudFormation cannot remove its rules."""
        vpc = ec2.CfnVPC(
            self,
            "Vpc",
            cidr_block=options.cidr,
            # The private names of the interface endpoint and of S3 are resolved in the VPC.
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=[cdk.CfnTag(key="Name", value=self.stack_name)],
        )
        subnets = Subnets(self, "Subnets", vpc_id=vpc.ref, cidr=options.cidr, zones=options.zones)
        self.subnet_ids = subnets.private_ids
        s3_endpoint(
            self,
            vpc_id=vpc.ref,
            route_table_id=subnets.route_table_id,
            # With a route to the internet a policy would confine nothing, and the Hub's files may be in S3.
            allowed=self._s3_actions(allowed) if mode == "private" else None,
        )
        if mode == "vpc":
            InternetAccess(self, "Internet", vpc_id=vpc.ref, subnets=subnets)
        else:
            runtime_endpoint(
                self,
                vpc_id=vpc.ref,
                subnet_ids=self.subnet_ids,
                cidr=options.cidr,
                endpoint_name=allowed.endpoint_name,
            )
        log_flows(self, vpc_id=vpc.ref, retention_days=options.log_retention_days)
        return vpc.ref

    def _s3_actions(self, allowed: AllowedResources) -> dict[str, list[str]]:
        bucket = f"arn:{self.partition}:s3:::{allowed.bucket_name}"
        return {
            "s3:GetObject": [f"{bucket}/*"],
            "s3:ListBucket": [bucket],
            "s3:PutObject": [f"{bucket}/{prefix}*" for prefix in allowed.writable],
        }

    def _instances_group(self, vpc_id: str) -> str:
        """Create a security group with HTTPS to any address: routes restrict it, in mode `private` to S3.

        S3's addresses are a prefix list whose id differs by region: finding it would need a lookup.
        """
        group = ec2.CfnSecurityGroup(
            self,
            "Instances",
            vpc_id=vpc_id,
            group_description="Instances of the SageMaker endpoint",
            security_group_egress=[
                ec2.CfnSecurityGroup.EgressProperty(
                    ip_protocol="tcp", from_port=HTTPS, to_port=HTTPS, cidr_ip=ANYWHERE, description="HTTPS"
                )
            ],
        )
        return group.attr_group_id


def _owners_part(mode: Mode, vpc_id: str) -> str:
    needs = (
        "a NAT gateway, and better an S3 gateway endpoint too"
        if mode == "vpc"
        else "an S3 gateway endpoint that allows s3:GetObject and s3:ListBucket on the adapter bucket, and "
        "for callers in the VPC an interface endpoint for sagemaker.runtime"
    )
    return f"{vpc_id} is used as it is: its owner gives the subnets {needs}"
