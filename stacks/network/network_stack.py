"""The network of an endpoint in a VPC: subnets, the ways out of them, and what may be reached.

Only the container's own calls go through the VPC: those to S3 for adapters, and in mode `vpc` those to the
Hub. SageMaker pulls the image, downloads a mounted model, gives the role's credentials, writes logs and
brings requests from outside of it, so no interface endpoints for ECR, CloudWatch or STS are needed. KMS is
called by S3. Callers inside the VPC need the one for `sagemaker.runtime`; that for `sagemaker.api` would only
be for deploying from inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from stacks.network.flow_logs import log_flows
from stacks.network.subnets import InternetAccess, Subnets
from stacks.network.vpc_endpoints import HTTPS, runtime_endpoint, s3_endpoint

Mode = Literal["vpc", "private"]
ANYWHERE = "0.0.0.0/0"


class Network(cdk.Stack):
    """A VPC of its own, or only a security group in one that is there; everything goes with the stack.

    Where subnets and security groups are both given there is nothing to make: leave this stack out.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        mode: Mode,
        bucket_name: str,
        endpoint_name: str,
        data_capture_arn: str | None,
        vpc_id: str | None,
        subnet_ids: Sequence[str],
        cidr: str,
        log_retention_days: int,
        env: cdk.Environment,
    ) -> None:
        """With `vpc_id` and `subnet_ids` (two or more, in different zones) nothing else is looked up or made.

        Otherwise a VPC with the addresses of `cidr` is made: `private` without any way to the internet, `vpc`
        with a NAT gateway. `bucket_name` is the adapter store's, `endpoint_name` the SageMaker endpoint's;
        `data_capture_arn` is a pattern of the objects that SageMaker's data capture may write.
        """
        super().__init__(scope, construct_id, env=env, description="Network of a multi-LoRA endpoint")
        self.vpc_endpoint_id: str | None = None
        """S3's gateway endpoint, if it was made here: what a bucket policy can insist on."""
        if vpc_id is None:
            bucket = f"arn:{self.partition}:s3:::{bucket_name}"
            used = {"s3:GetObject": [f"{bucket}/*"], "s3:ListBucket": [bucket]}
            if data_capture_arn is not None:
                used["s3:PutObject"] = [data_capture_arn]
            vpc_id = self._own_vpc(mode, cidr, used, endpoint_name, log_retention_days)
        else:
            self.subnet_ids = list(subnet_ids)
            """For the model's `VpcConfig`."""
            cdk.Annotations.of(self).add_info_v2("lora-serving:given-vpc", _left_to_the_owner(mode, vpc_id))
        self.security_group_ids = [self._instances_group(vpc_id)]
        """For the model's `VpcConfig`."""
        cdk.CfnOutput(self, "VpcId", value=vpc_id)

    def _own_vpc(
        self,
        mode: Mode,
        cidr: str,
        used: dict[str, list[str]],
        endpoint_name: str,
        log_retention_days: int,
    ) -> str:
        """Nothing here uses the VPC's default security group, which CloudFormation cannot take rules from."""
        vpc = ec2.CfnVPC(
            self,
            "Vpc",
            cidr_block=cidr,
            # The private name of the interface endpoint, and S3's, are resolved in the VPC.
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=[cdk.CfnTag(key="Name", value=self.stack_name)],
        )
        subnets = Subnets(self, "Subnets", vpc_id=vpc.ref, cidr=cidr)
        self.subnet_ids = subnets.private_ids
        self.vpc_endpoint_id = s3_endpoint(
            self,
            vpc_id=vpc.ref,
            route_table_id=subnets.route_table_id,
            # With a way to the internet it would confine nobody, and the Hub's files may lie in S3.
            allowed=used if mode == "private" else None,
        )
        if mode == "vpc":
            InternetAccess(self, "Internet", vpc_id=vpc.ref, subnets=subnets)
        else:
            runtime_endpoint(
                self, vpc_id=vpc.ref, subnet_ids=self.subnet_ids, cidr=cidr, endpoint_name=endpoint_name
            )
        log_flows(self, vpc_id=vpc.ref, retention_days=log_retention_days)
        return vpc.ref

    def _instances_group(self, vpc_id: str) -> str:
        """HTTPS to anywhere: where it can go is the routes' matter, and in mode `private` only S3 has one.

        S3's addresses are a prefix list whose id differs by region; to find it would need a lookup.
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


def _left_to_the_owner(mode: Mode, vpc_id: str) -> str:
    needs = (
        "a NAT gateway, and better an S3 gateway endpoint too"
        if mode == "vpc"
        else "an S3 gateway endpoint that allows s3:GetObject and s3:ListBucket on the adapter bucket, and "
        "for callers in the VPC an interface endpoint for sagemaker.runtime"
    )
    return f"{vpc_id} is used as it is: its owner gives the subnets {needs}"
