"""Permissions that S3 requires and `ministack` does not: on a bucket's KMS key, on tags, on conditions.

`cloudformation.install` checks the private names.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final
from xml.sax.saxutils import escape

from laptop_cloud.api.service import Params
from laptop_cloud.ministack.cross_account import bucket_key

_READS: Final = ("s3:GetObject", "s3:GetObjectVersion")
_ENCRYPTION: Final = (
    "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>"
    "<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>{}</KMSMasterKeyID>"
    "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
)
#: An additional action that a request needs, and its resource.
_Check = tuple[str, str]


def install() -> None:
    """Require these permissions of requests to S3, and let CloudFormation set the buckets' keys."""
    provisioners: Any = import_module("ministack.services.cloudformation.provisioners")
    actions: Any = import_module("ministack.core.iam_actions")
    handlers = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    handlers["create"] = _with_key(handlers["create"])
    actions.s3_additional_checks = _with_checks(actions.s3_additional_checks)
    actions.s3_service_context = _with_write_conditions(actions.s3_service_context)


def _with_key(create: Callable[[str, Params, str], tuple[str, Params]]) -> Callable[..., tuple[str, Params]]:
    """Return a bucket's create handler that applies BucketEncryption, which `ministack` ignores."""
    s3: Any = import_module("ministack.services.s3")

    def create_with_key(logical_id: str, props: Params, stack: str) -> tuple[str, Params]:
        name, attributes = create(logical_id, props, stack)
        for rule in props.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", []):
            key = rule.get("ServerSideEncryptionByDefault", {}).get("KMSMasterKeyID")
            if key:
                s3._put_bucket_encryption(name, _ENCRYPTION.format(escape(key)).encode())
        return name, attributes

    return create_with_key


def _with_write_conditions(others: Callable[..., Params]) -> Callable[..., Params]:
    """Return the condition keys of a request, with s3:if-match and s3:if-none-match.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
    """

    def context(action: str, query: Params | None, path: str = "", headers: Params | None = None) -> Params:
        found = others(action, query, path, headers)
        if action != "s3:PutObject":
            return found
        given = {name: (headers or {}).get(name) for name in ("if-match", "if-none-match")}
        return found | {f"s3:{name}": value for name, value in given.items() if value}

    return context


def _with_checks(others: Callable[..., list[_Check]]) -> Callable[..., list[_Check]]:
    actions: Any = import_module("ministack.core.iam_actions")

    def checks(method: str, path: str, headers: Params, body: bytes, query: Params) -> list[_Check]:
        found = others(method, path, headers, body, query)
        needed = _key_actions(f"s3:{actions._s3_action(method, path, query)}", method, path, query, found)
        keys = [(action, bucket_key(bucket)) for action, bucket in needed]
        tagged = method == "PUT" and headers.get("x-amz-tagging")
        tagging = [("s3:PutObjectTagging", f"arn:aws:s3:::{path.lstrip('/')}")] if tagged else []
        return [*found, *tagging, *((action, key) for action, key in keys if key)]

    return checks


def _key_actions(
    action: str, method: str, path: str, query: Params, further: list[_Check]
) -> list[tuple[str, str]]:
    """Return the KMS actions that a request needs, each with the bucket of the key.

    kms:Decrypt to read, kms:GenerateDataKey to write, and both for the parts of an upload:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html.
    """
    bucket, _, key = path.lstrip("/").partition("/")
    needed = []
    # The response to HEAD has no encrypted content.
    if key and action in _READS and method == "GET":
        needed.append(("kms:Decrypt", bucket))
    if key and action == "s3:PutObject":
        needed.append(("kms:GenerateDataKey", bucket))
        if "uploadId" in query:
            needed.append(("kms:Decrypt", bucket))
    copied = [arn for checked, arn in further if checked in _READS]
    return [
        *needed,
        *(("kms:Decrypt", arn.removeprefix("arn:aws:s3:::").partition("/")[0]) for arn in copied),
    ]
