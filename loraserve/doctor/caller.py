"""The principal whose credentials are used."""

from __future__ import annotations

from dataclasses import dataclass

from loraserve.aws import Client


@dataclass(frozen=True)
class Caller:
    """An IAM user, the session of a role, or the account's root user."""

    account: str
    arn: str

    @property
    def partition(self) -> str:
        """AWS partition: `aws`, `aws-cn`, `aws-us-gov`, …"""
        return self.arn.split(":")[1]

    @property
    def resource(self) -> str:
        """The last part of the ARN, e.g. `assumed-role/Deployer/session`, `user/alice` or `root`."""
        return self.arn.split(":", 5)[5]


def caller(client: Client) -> Caller:
    """Ask STS, which answers every principal; raises boto3's errors."""
    found = client("sts").get_caller_identity()
    return Caller(found["Account"], found["Arn"])
