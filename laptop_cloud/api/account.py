"""An account in a region: what a request's credentials say, and what every ARN is made of."""

from __future__ import annotations

import re
from typing import NamedTuple

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"

_CREDENTIAL = re.compile(r"Credential=(\d{12})?[^/]*/\d{8}/([a-z0-9-]+)/")


class Place(NamedTuple):
    """One account in one region. Resources of two places do not see each other."""

    account: str
    region: str

    @classmethod
    def of(cls, authorization: str) -> Place:
        """The place that a request's SigV4 `Authorization` header names.

        The account is the access key where that is twelve digits (as it is for `ministack`), and the
        default account otherwise.
        """
        found = _CREDENTIAL.search(authorization)
        if found is None:
            return cls(DEFAULT_ACCOUNT, DEFAULT_REGION)
        return cls(found[1] or DEFAULT_ACCOUNT, found[2])

    def arn(self, service: str, resource: str) -> str:
        """The ARN of `resource` (such as `model/x`) of `service` in this place."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"
