"""Authorization tokens of ECR: each stands for the caller who requested it.

The permissions of a token are those of the IAM principal that requested it, and it is valid for 12 hours:
https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from typing import Final

from laptop_cloud.ministack.callers import Principal

#: Seconds that a token is valid.
LIFETIME_S: Final = 12 * 3600
_USER: Final = "AWS"


class AuthorizationTokens:
    """The tokens that were given out."""

    def __init__(self) -> None:
        """Begin without tokens."""
        self._callers: dict[str, tuple[Principal, float]] = {}

    def new(self, caller: Principal) -> str:
        """Return a new token of `caller`: base64 of `AWS:<password>`."""
        password = secrets.token_urlsafe(96)
        self._callers[password] = (caller, time.monotonic() + LIFETIME_S)
        return base64.b64encode(f"{_USER}:{password}".encode()).decode()

    def caller(self, authorization: str) -> Principal | None:
        """Return the caller of an `Authorization` header; None without a valid token in it."""
        scheme, _, token = authorization.partition(" ")
        try:
            user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        if scheme.lower() != "basic" or user != _USER or password not in self._callers:
            return None
        caller, expiry = self._callers[password]
        return caller if time.monotonic() < expiry else None
