"""Access to parts of `ministack`'s IAM without an API. `cloudformation.install` checks the private names."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from typing import Any, Final

from laptop_cloud.api.account import Account
from laptop_cloud.api.asgi import App, Message, Receive, Send

_SESSION: Final = re.compile(
    r"arn:(?P<partition>[a-z-]+):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)/.+"
)


def install() -> None:
    """Let `aws:PrincipalArn` be the role's ARN in a session of a role, as in AWS.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    evaluator: Any = import_module("ministack.core.iam_evaluator")
    others: Callable[[str, Any], Any] = evaluator._resolve_condition_key

    def resolve(key: str, context: Any) -> Any:
        session = _SESSION.fullmatch(context.principal_arn) if key.lower() == "aws:principalarn" else None
        if session is None:
            return others(key, context)
        return f"arn:{session['partition']}:iam::{session['account']}:role/{session['role']}"

    evaluator._resolve_condition_key = resolve


def trusts(role_arn: str, service: str, account: Account) -> bool:
    """Return True if the role exists and its trust policy lets `service` assume it for `account`.

    `ministack`'s AssumeRole accepts the account's root for every service, and does not know
    aws:SourceAccount.
    """
    iam: Any = import_module("ministack.services.iam")
    evaluator: Any = import_module("ministack.core.iam_evaluator")
    role = iam._roles.get_scoped(_account(role_arn), None, _name(role_arn))
    if role is None:
        return False
    context = evaluator.EvalContext(
        principal_arn=service,
        principal_type="Service",
        principal_account=account.id,
        action="sts:AssumeRole",
        resource_arn=role_arn,
        region=account.region,
        service_context={"aws:sourceaccount": account.id},
    )
    policy = role["AssumeRolePolicyDocument"]
    return bool(evaluator.evaluate_resource_policy(policy, context, service=service).decision == "Allow")


def new_session(role_arn: str, account: Account, expiry: datetime) -> tuple[str, str, str]:
    """Return credentials of the role until `expiry`: access key, secret key and session token."""
    sts: Any = import_module("ministack.services.sts")
    key = "ASIA" + "".join(secrets.choice(string.ascii_uppercase + "234567") for _ in range(16))
    secret, token = secrets.token_hex(20), secrets.token_urlsafe(64)
    sts.register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{_account(role_arn)}:assumed-role/{_name(role_arn)}/SageMaker",
            "UserId": f"{sts._role_id(role_arn)}:SageMaker",
            "AccountId": account.id,
            "SecretAccessKey": secret,
            "SessionToken": token,
            "Expiration": expiry.timestamp(),
        },
    )
    return key, secret, token


class SecureTransport:
    """ASGI middleware that marks every request as made with TLS, as requests to AWS are.

    Bucket policies refuse others (aws:SecureTransport), that of CDK's bootstrap bucket among them.
    """

    def __init__(self, emulator: App) -> None:
        """`emulator` gets every request."""
        self._emulator = emulator

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] == "http":
            scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
        await self._emulator(scope, receive, send)


def _account(role_arn: str) -> str:
    return role_arn.split(":")[4]


def _name(role_arn: str) -> str:
    return role_arn.rpartition("/")[2]
