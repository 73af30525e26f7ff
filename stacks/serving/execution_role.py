"""What the platform and the container may do: the endpoint's execution role."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from adapters.store.layout import ADAPTERS_PREFIX, CAPTURED_PREFIX, REGISTRY_PREFIX


class ExecutionRole(iam.Role):
    """What platform and container need, and nothing else.

    The container runs code of a third party and reads what callers name, so this role is what confines it
    to the store.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint_name: str,
        bucket: s3.IBucket,
        key: kms.IKey | None,
        model_prefix: str | None,
        captures: bool,
        watches_alarms: bool,
        subnet_ids: Sequence[str],
        security_group_ids: Sequence[str],
    ) -> None:
        """Subnets and security groups are those of the instances, if any."""
        stack = cdk.Stack.of(scope)
        super().__init__(
            scope,
            construct_id,
            # Only for this account's own models: no one else can have SageMaker use the role for theirs.
            assumed_by=iam.ServicePrincipal(
                "sagemaker.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": stack.account}},
            ),
        )
        self._read_store(bucket, key, model_prefix)
        self._allow(
            "WriteLogs",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            # The group, and after another colon its streams.
            [_arn(stack, "logs", "log-group", f"/aws/sagemaker/Endpoints/{endpoint_name}*", colon=True)],
        )
        # The instances' utilization; CloudWatch has no finer resource than the condition.
        self._allow(
            "WriteMetrics",
            ["cloudwatch:PutMetricData"],
            ["*"],
            {"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/Endpoints"}},
        )
        if captures:
            self._allow("Capture", ["s3:PutObject"], [bucket.arn_for_objects(f"{CAPTURED_PREFIX}*")])
            if key is not None:
                self._allow("EncryptCaptured", ["kms:GenerateDataKey"], [key.key_arn])
        if watches_alarms:
            # With a narrower scope it does not tell of composite alarms, and SageMaker takes either kind.
            self._allow("WatchRollout", ["cloudwatch:DescribeAlarms"], ["*"])
        if subnet_ids:
            self._join_network(subnet_ids, security_group_ids)

    def _allow(
        self, sid: str, actions: list[str], resources: list[str], conditions: dict[str, object] | None = None
    ) -> None:
        self.add_to_policy(
            iam.PolicyStatement(sid=sid, actions=actions, resources=resources, conditions=conditions)
        )

    def _read_store(self, bucket: s3.IBucket, key: kms.IKey | None, model_prefix: str | None) -> None:
        readable = [f"{ADAPTERS_PREFIX}*", f"{REGISTRY_PREFIX}*"]
        if model_prefix is not None:
            readable.append(f"{model_prefix}*")
        self._allow("ReadStore", ["s3:GetObject"], [bucket.arn_for_objects(name) for name in readable])
        # Without this right S3 says 403 of a missing object instead of 404, and looks for it in a request
        # that has no prefix: hence IfExists.
        self._allow(
            "ListStore",
            ["s3:ListBucket"],
            [bucket.bucket_arn],
            {"StringLikeIfExists": {"s3:prefix": readable}},
        )
        if key is not None:
            self._allow("Decrypt", ["kms:Decrypt"], [key.key_arn])

    def _join_network(self, subnet_ids: Sequence[str], security_group_ids: Sequence[str]) -> None:
        """SageMaker puts a network interface for each instance into the subnets."""
        stack = cdk.Stack.of(self)
        interfaces = _arn(stack, "ec2", "network-interface", "*")
        # Subnets may be shared by another account; their ids say which are meant.
        places = [_arn(stack, "ec2", "subnet", name, account="*") for name in subnet_ids]
        places += [_arn(stack, "ec2", "security-group", name, account="*") for name in security_group_ids]
        self._allow("MakeInterfaces", ["ec2:CreateNetworkInterface"], [interfaces, *places])
        self._allow(
            "UseInterfaces",
            [
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
            ],
            [interfaces],
        )
        self._allow(
            "FindNetwork",
            [
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            ["*"],  # EC2 knows no finer resource for these
        )


def _arn(
    stack: cdk.Stack,
    service: str,
    resource: str,
    name: str,
    *,
    colon: bool = False,
    account: str | None = None,
) -> str:
    style = cdk.ArnFormat.COLON_RESOURCE_NAME if colon else cdk.ArnFormat.SLASH_RESOURCE_NAME
    return stack.format_arn(
        service=service, resource=resource, resource_name=name, arn_format=style, account=account
    )
