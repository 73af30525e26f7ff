"""An AWS account in a region, and its ARNs."""

from __future__ import annotations

from typing import NamedTuple

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"


class Account(NamedTuple):
    """One account in one region. Each has separate resources."""

    id: str
    region: str

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of `resource` (such as `model/x`) of `service`."""
        return f"arn:aws:{service}:{self.region}:{self.id}:{resource}"
