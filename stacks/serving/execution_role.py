"""The endpoint's execution role: permissions of SageMaker's platform and of the container."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from adapters.store.layout import (
    ADAPTERS_PREFIX,
    CAPTURED_PREFIX,
    DEMAND_PREFIX,
    PROBES_PREFIX,
    REGISTRY_PREFIX,
)
from stacks.serving.references import StoreReferences, VpcPlacement


class ExecutionRole(iam.Role):
    """The least permissions for platform and container.

    The container runs third-party code and reads the adapters that callers name: this role confines it to
    the store.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint_name: str,
        store: StoreReferences,
        captures: bool,
        watches_alarms: bool,
        detailed_metrics: bool,
        network: VpcPlacement | None,
    ) -> None:
        """`captures` allows data capture, `watches_alarms` rollback on alarms, `network` VPC interfaces.

        With `detailed_metrics` SageMaker publishes to namespaces that it does not document.
        """
        stack = cdk.Stack.of(scope)
        super().__init__(
            scope,
            construct_id,
            # Confused deputy: SageMaker may not assume the role for a model of another account.
            assumed_by=iam.ServicePrincipal(
                "sagemaker.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": stack.account}},
            ),
        )
        self._demand = f"{DEMAND_PREFIX}{endpoint_name}/*"
        self._read_store(store)
        self._allow(
            "WriteLogs",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            # The group, and after another colon its streams.
            [_arn(stack, "logs", "log-group", f"/aws/sagemaker/Endpoints/{endpoint_name}*", colon=True)],
        )
        # The instances' utilization; CloudWatch has no finer resource than the condition, which would deny
        # the metrics of detailed observability.
        self._allow(
            "WriteMetrics",
            ["cloudwatch:PutMetricData"],
            ["*"],
            None
            if detailed_metrics
            else {"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/Endpoints"}},
        )
        if captures:
            captured = store.bucket.arn_for_objects(f"{CAPTURED_PREFIX}*")
            self._allow("Capture", ["s3:PutObject"], [captured])
        if watches_alarms:
            # With a narrower scope it leaves out composite alarms, and SageMaker accepts both kinds.
            self._allow("WatchRollout", ["cloudwatch:DescribeAlarms"], ["*"])
        if network is not None:
            self._join_network(network)
        self._write_store(store)

    def _allow(
        self, sid: str, actions: list[str], resources: list[str], conditions: dict[str, object] | None = None
    ) -> None:
        self.add_to_policy(
            iam.PolicyStatement(sid=sid, actions=actions, resources=resources, conditions=conditions)
        )

    def _read_store(self, store: StoreReferences) -> None:
        bucket = store.bucket
        readable = [f"{ADAPTERS_PREFIX}*", f"{REGISTRY_PREFIX}*", f"{PROBES_PREFIX}*", self._demand]
        if store.model_prefix is not None:
            readable.append(f"{store.model_prefix}*")
        self._allow("ReadStore", ["s3:GetObject"], [bucket.arn_for_objects(name) for name in readable])
        # Without it S3 answers 403 instead of 404 for a missing object. S3 checks it for GetObject too, a
        # request without a prefix: hence IfExists.
        self._allow(
            "ListStore",
            ["s3:ListBucket"],
            [bucket.bucket_arn],
            {"StringLikeIfExists": {"s3:prefix": readable}},
        )
        if store.key is not None:
            self._allow("Decrypt", ["kms:Decrypt"], [store.key.key_arn])

    def _write_store(self, store: StoreReferences) -> None:
        """Allow to create probes, which nothing replaces, and to write what this endpoint is asked for."""
        probes, demand = (store.bucket.arn_for_objects(keys) for keys in (f"{PROBES_PREFIX}*", self._demand))
        # With If-None-Match S3 replaces no object; without it the request is denied, as are those of an
        # upload in parts: S3 User Guide, "Enforce conditional writes on Amazon S3 buckets". The key is one of
        # s3:PutObject in the Service Authorization Reference, so it counts in a role's policy, too.
        self._allow("CreateProbes", ["s3:PutObject"], [probes], {"Null": {"s3:if-none-match": "false"}})
        self._allow("WriteDemand", ["s3:PutObject"], [demand])
        if store.key is not None:
            self._allow("Encrypt", ["kms:GenerateDataKey"], [store.key.key_arn])

    def _join_network(self, network: VpcPlacement) -> None:
        """Allow SageMaker to create a network interface for each instance in the subnets."""
        stack = cdk.Stack.of(self)
        interfaces = _arn(stack, "ec2", "network-interface", "*")
        # Subnets may be shared by another account: any account, and the id identifies them.
        targets = [_arn(stack, "ec2", "subnet", name, account="*") for name in network.subnet_ids]
        targets += [
            _arn(stack, "ec2", "security-group", name, account="*") for name in network.security_group_ids
        ]
        self._allow("MakeInterfaces", ["ec2:CreateNetworkInterface"], [interfaces, *targets])
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
                "ec2:DescribeVpcEndpoints",
                "ec2:DescribeVpcs",
            ],
            ["*"],  # EC2 has no finer resource for these
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
