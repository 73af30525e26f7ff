"""What the laptop cloud needs of `ministack`'s IAM and has no API for, where that is enforced or not.

Its private names are used in this module and in `cloudformation`, which checks that all are there.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from typing import Any, Final

from loraserve.local.asgi import App, Message, Receive, Send
from loraserve.local.place import Place

_READS: Final = ("GetObject", "GetObjectVersion")
#: Check of one request: (method, path, headers, body, query) to further actions and their resources.
_Checks = Callable[[str, str, dict[str, str], bytes, dict[str, Any]], list[tuple[str, str]]]


def trusts(role_arn: str, service: str, place: Place) -> bool:
    """Whether the role exists, and its trust policy lets `service` assume it on behalf of `place`'s account.

    `ministack`'s own AssumeRole takes the account's root for every service, and knows no aws:SourceAccount.
    """
    iam: Any = import_module("ministack.services.iam")
    evaluator: Any = import_module("ministack.core.iam_evaluator")
    role = iam._roles.get_scoped(_account(role_arn), None, _name(role_arn))
    if role is None:
        return False
    context = evaluator.EvalContext(
        principal_arn=service,
        principal_type="Service",
        principal_account=place.account,
        action="sts:AssumeRole",
        resource_arn=role_arn,
        region=place.region,
        service_context={"aws:sourceaccount": place.account},
    )
    policy = role["AssumeRolePolicyDocument"]
    return bool(evaluator.evaluate_resource_policy(policy, context, service=service).decision == "Allow")


def new_session(role_arn: str, place: Place, expiry: datetime) -> tuple[str, str, str]:
    """Credentials that act as the role until `expiry`: access key, secret key and session token."""
    sts: Any = import_module("ministack.services.sts")
    key = "ASIA" + "".join(secrets.choice(string.ascii_uppercase + "234567") for _ in range(16))
    secret, token = secrets.token_hex(20), secrets.token_urlsafe(64)
    sts.register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{_account(role_arn)}:assumed-role/{_name(role_arn)}/SageMaker",
            "UserId": f"{sts._role_id(role_arn)}:SageMaker",
            "AccountId": place.account,
            "SecretAccessKey": secret,
            "SessionToken": token,
            "Expiration": expiry.timestamp(),
        },
    )
    return key, secret, token


def check_bucket_keys() -> None:
    """From now on, whoever reads or writes objects of a bucket with a KMS key needs its rights on the key.

    As S3 does: kms:Decrypt to read, kms:GenerateDataKey to write, and both for the parts of an upload. Of
    a bucket's key only the default one counts, and a key's policy leaves all to IAM.
    """
    actions: Any = import_module("ministack.core.iam_actions")
    s3: Any = import_module("ministack.services.s3")
    others: _Checks = actions.s3_additional_checks

    def key_of(bucket: str) -> str | None:
        name = "x-amz-server-side-encryption-aws-kms-key-id"
        found: str | None = s3._bucket_default_sse_headers(bucket).get(name)
        return found

    def checks(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> list[tuple[str, str]]:
        found = others(method, path, headers, body, query)
        for action, bucket in _object_accesses(
            actions._s3_action(method, path, query), method, path, query, found
        ):
            key = key_of(bucket)
            if key is not None:
                found = [*found, (action, key)]
        return found

    actions.s3_additional_checks = checks


def _object_accesses(
    action: str | None, method: str, path: str, query: dict[str, Any], further: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The actions on keys that a request needs, each with the bucket whose key it is."""
    bucket, _, key = path.lstrip("/").partition("/")
    needed = []
    # HEAD returns nothing that is encrypted.
    if key and action in _READS and method == "GET":
        needed.append(("kms:Decrypt", bucket))
    if key and action == "PutObject":
        needed.append(("kms:GenerateDataKey", bucket))
        if "uploadId" in query:
            needed.append(("kms:Decrypt", bucket))
    copied = [arn for checked, arn in further if checked.removeprefix("s3:") in _READS]
    return [
        *needed,
        *(("kms:Decrypt", arn.removeprefix("arn:aws:s3:::").partition("/")[0]) for arn in copied),
    ]


class SecureTransport:
    """An ASGI app before the emulator: its requests count as made with TLS, as every request to AWS is.

    Bucket policies refuse those that are not (aws:SecureTransport), CDK's bootstrap bucket's among them.
    """

    def __init__(self, emulator: App) -> None:
        """`emulator` gets every request."""
        self._emulator = emulator

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Hand one request on."""
        if scope["type"] == "http":
            scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
        await self._emulator(scope, receive, send)


def _account(role_arn: str) -> str:
    return role_arn.split(":")[4]


def _name(role_arn: str) -> str:
    return role_arn.rpartition("/")[2]
