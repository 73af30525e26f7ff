"""VPC flow logs to CloudWatch Logs."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct


def log_flows(scope: Construct, *, vpc_id: str, retention_days: int) -> None:
    """Log accepted and rejected connections of the VPC to a log group that is deleted with the stack."""
    group = logs.CfnLogGroup(scope, "FlowLogs", retention_in_days=retention_days)
    group.apply_removal_policy(cdk.RemovalPolicy.DESTROY)
    stack = cdk.Stack.of(scope)
    role = iam.CfnRole(
        scope,
        "FlowLogsRole",
        assume_role_policy_document={
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                    "Condition": {"StringEquals": {"aws:SourceAccount": stack.account}},
                }
            ],
        },
        policies=[
            iam.CfnRole.PolicyProperty(
                policy_name="WriteFlowLogs",
                policy_document={
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": [
                                "logs:CreateLogStream",
                                "logs:DescribeLogStreams",
                                "logs:PutLogEvents",
                            ],
                            "Resource": group.attr_arn,
                        }
                    ],
                },
            )
        ],
    )
    ec2.CfnFlowLog(
        scope,
        "FlowLog",
        resource_type="VPC",
        resource_id=vpc_id,
        traffic_type="ALL",
        log_destination_type="cloud-watch-logs",
        log_group_name=group.ref,
        deliver_logs_permission_arn=role.attr_arn,
    )
