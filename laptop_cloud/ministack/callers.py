"""Callers of requests, in every service: access key, account and region. Over `ministack`'s sessions."""

from __future__ import annotations

import contextvars
import re
from importlib import import_module
from typing import Any, Final, NamedTuple

from laptop_cloud.api.account import DEFAULT_ACCOUNT, DEFAULT_REGION, Account

_CREDENTIAL: Final = re.compile(r"Credential=([^/]+)/\d{8}/([a-z0-9-]+)/")


class Principal(NamedTuple):
    """The caller of a request."""

    access_key: str
    account: Account
    """The caller's account, and the region of the request."""


def principal(authorization: str) -> Principal:
    """Return the caller of a request from its SigV4 `Authorization` header.

    The account is the access key where that has twelve digits, or that of the role that was assumed
    (`ministack`'s rules), and the default account otherwise.
    """
    found = _CREDENTIAL.search(authorization)
    if found is None:
        return Principal(DEFAULT_ACCOUNT, Account(DEFAULT_ACCOUNT, DEFAULT_REGION))
    return Principal(found[1], Account(_account_of(found[1]), found[2]))


def _account_of(access_key: str) -> str:
    responses: Any = import_module("ministack.core.responses")

    def scoped() -> str:
        responses.set_request_account_id(access_key)
        found: str = responses.get_account_id()
        return found

    return contextvars.copy_context().run(scoped)
