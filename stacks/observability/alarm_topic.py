"""The SNS topic of alarms: only CloudWatch of this account publishes to it."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

_CLOUDWATCH = {"Service": "cloudwatch.amazonaws.com"}


class AlarmTopic(Construct):
    """A topic with a separate key: CloudWatch cannot use the account's default key for SNS."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        """Create topic and key; they are deleted with the stack."""
        super().__init__(scope, construct_id)
        stack = cdk.Stack.of(self)
        own = {"StringEquals": {"aws:SourceAccount": stack.account}}
        key = kms.CfnKey(
            self,
            "Key",
            description="Alarms of a multi-LoRA endpoint",
            enable_key_rotation=True,
            pending_window_in_days=7,
            key_policy={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "Administer",
                        "Effect": "Allow",
                        "Principal": {"AWS": f"arn:{stack.partition}:iam::{stack.account}:root"},
                        "Action": "kms:*",
                        "Resource": "*",
                    },
                    {
                        "Sid": "Publish",
                        "Effect": "Allow",
                        "Principal": _CLOUDWATCH,
                        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                        "Resource": "*",
                        "Condition": own,
                    },
                ],
            },
        )
        key.apply_removal_policy(cdk.RemovalPolicy.DESTROY)
        topic = sns.CfnTopic(
            self,
            "Topic",
            kms_master_key_id=key.attr_key_id,
            display_name=f"Alarms of {stack.stack_name}"[:100],
        )
        self.arn = topic.ref
        """The topic's ARN."""
        sns.CfnTopicPolicy(
            self,
            "Policy",
            topics=[self.arn],
            policy_document={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "Publish",
                        "Effect": "Allow",
                        "Principal": _CLOUDWATCH,
                        "Action": "sns:Publish",
                        "Resource": self.arn,
                        "Condition": own,
                    },
                    {
                        "Sid": "EncryptedOnly",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "sns:Publish",
                        "Resource": self.arn,
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    },
                ],
            },
        )


def subscribe(scope: Construct, topic_arn: str, emails: Sequence[str]) -> None:
    """Subscribe the addresses to the topic; SNS asks each for confirmation by mail first."""
    for number, address in enumerate(emails, start=1):
        sns.CfnSubscription(scope, f"Email{number}", protocol="email", endpoint=address, topic_arn=topic_arn)
