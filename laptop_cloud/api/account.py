"""An AWS account in a region, read from a request's credentials, and its ARNs."""

from __future__ import annotations

import re
from typing import NamedTuple

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"

_CREDENTIAL = re.compile(r"Credential=(\d{12})?[^/]*/\d{8}/([a-z0-9-]+)/")


class Account(NamedTuple):
    """One account in one region. Each has separate resources."""

    id: str
    region: str

    @classmethod
    def of(cls, authorization: str) -> Account:
        """Return the account and region in a request's SigV4 `Authorization` header.

        The account is the access key where that has twelve digits (`ministack`'s rule), and the default
        account otherwise.
        """
        found = _CREDENTIAL.search(authorization)
        if found is None:
            return cls(DEFAULT_ACCOUNT, DEFAULT_REGION)
        return cls(found[1] or DEFAULT_ACCOUNT, found[2])

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of `resource` (such as `model/x`) of `service`."""
        return f"arn:aws:{service}:{self.region}:{self.id}:{resource}"
