"""Access to S3 across accounts: both the caller's policies and those of bucket and key must allow it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html

`ministack` checks the caller's policies, and a bucket policy for the caller's account as a whole. Added here:
the bucket policy counts for the caller itself, the key's policy counts, aws:ResourceAccount is the bucket's
owner, and an object (not one of its older versions) is copied from another account's bucket. ACLs are not
read: a bucket is created without them
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html).
`cloudformation.install` checks the private names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from laptop_cloud.api.service import Params

_BUCKET_ARN: Final = "arn:aws:s3:::"
_KEY_ARN: Final = "arn:aws:kms:"
_RESOURCE_ACCOUNT: Final = ("aws:resourceaccount", "s3:resourceaccount")


def install() -> None:
    """Evaluate the policies of buckets and keys for callers of every account."""
    s3: Any = import_module("ministack.services.s3")
    actions: Any = import_module("ministack.core.iam_actions")
    evaluator: Any = import_module("ministack.core.iam_evaluator")
    s3._foreign_bucket_allows = _with_callers(s3._foreign_bucket_allows)
    s3._ensure_bucket = _bucket
    actions.s3_access_point_resources = _with_key_context(actions.s3_access_point_resources)
    evaluator._resource_policy = _with_key_policies(evaluator._resource_policy)
    evaluator.combine_resource_policy = _with_required_key_policies(evaluator.combine_resource_policy)
    evaluator._resolve_condition_key = _with_bucket_owner(evaluator._resolve_condition_key)


def owner_of(bucket: str) -> str | None:
    """Return the account that a bucket belongs to; None if it does not exist."""
    s3: Any = import_module("ministack.services.s3")
    owner: str | None = s3._bucket_owner_account(bucket)
    return owner


def bucket_key(bucket: str) -> str | None:
    """Return the KMS key that a bucket encrypts with by default; None without one."""
    s3: Any = import_module("ministack.services.s3")
    responses: Any = import_module("ministack.core.responses")
    owner = owner_of(bucket)
    if owner is None:
        return None
    with responses.request_scope(owner, responses.get_region()):
        key: str | None = s3._bucket_default_sse_headers(bucket).get(
            "x-amz-server-side-encryption-aws-kms-key-id"
        )
    return key


def _bucket(name: str) -> Any:
    """Return the record of a bucket of any account: a request got this far if it may use the bucket.

    `ministack` looks in the account of a copy's destination for its source.
    """
    s3: Any = import_module("ministack.services.s3")
    owner = owner_of(name)
    return None if owner is None else s3._buckets.get_scoped(owner, None, name)


def _with_callers(others: Callable[..., bool]) -> Callable[..., bool]:
    """Return the check of a request for another account's bucket, by the policies that name the caller."""

    def allows(
        owner: str,
        bucket: str,
        key: str,
        method: str,
        query: Params,
        caller: str,
        headers: Params | None = None,
    ) -> bool:
        if not caller:  # a request without credentials
            return others(owner, bucket, key, method, query, caller, headers)
        s3: Any = import_module("ministack.services.s3")
        actions: Any = import_module("ministack.core.iam_actions")
        path = f"/{bucket}/{key}" if key else f"/{bucket}"
        action = f"s3:{actions._s3_action(method, path, query)}"
        context = actions.s3_service_context(action, query, path, headers or {})
        policy = s3._bucket_policies.get_scoped(owner, None, bucket)
        if not _allowed(policy, action, f"{_BUCKET_ARN}{path[1:]}", caller, context):
            return False
        kms = bucket_key(bucket)
        if kms is None or not kms.startswith(_KEY_ARN) or not (key and method == "GET"):
            return True
        return _allowed(_key_policy(kms), "kms:Decrypt", kms, caller, _key_context(kms, caller))

    return allows


def _allowed(policy: Any, action: str, resource: str, account: str, context: Mapping[str, Any]) -> bool:
    """Return True if a resource's policy allows an action to the caller of this request."""
    evaluator: Any = import_module("ministack.core.iam_evaluator")
    responses: Any = import_module("ministack.core.responses")
    caller = evaluator.caller_arn()
    kinds = {":assumed-role/": "AssumedRole", ":user/": "User"}
    evaluated = evaluator.EvalContext(
        principal_arn=caller,
        principal_type=next((kind for part, kind in kinds.items() if part in caller), "Root"),
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=responses.get_region(),
        service_context={name.lower(): value for name, value in context.items()},
    )
    return bool(evaluator.evaluate_resource_policy(policy, evaluated).decision == "Allow")


def _key_policy(arn: str) -> str:
    """Return the policy of a key of any account; empty if there is no such key."""
    kms: Any = import_module("ministack.services.kms")
    _, _, _, region, account, key = arn.split(":", 5)
    record = kms._keys.get_scoped(account, region, key.removeprefix("key/"))
    return str((record or {}).get("Policy") or "")


def _key_context(arn: str, account: str) -> dict[str, str]:
    """Return the condition keys of a request to KMS that S3 makes for a caller of `account`.

    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
    """
    return {"kms:ViaService": f"s3.{arn.split(':')[3]}.amazonaws.com", "kms:CallerAccount": account}


def _with_key_context(
    others: Callable[[str], list[tuple[str, Params]]],
) -> Callable[[str], list[tuple[str, Params]]]:
    responses: Any = import_module("ministack.core.responses")

    def resources(arn: str) -> list[tuple[str, Params]]:
        if not arn.startswith(_KEY_ARN):
            return others(arn)
        return [(arn, _key_context(arn, responses.get_account_id()))]

    return resources


def _with_key_policies(others: Callable[..., Any]) -> Callable[..., Any]:
    """Return the look-up of a resource's policy, which finds a key also in a request to S3."""

    def found(service: str, arn: str) -> Any:
        if service == "s3" and arn.startswith(_KEY_ARN):
            return _key_policy(arn), arn.split(":")[4]
        return others(service, arn)

    return found


def _with_required_key_policies(others: Callable[..., Any]) -> Callable[..., Any]:
    """Return the combination of policies, in which a key's must allow the owner's own roles, too.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
    """

    def combined(
        identity: Any, context: Any, policy: Any, owner: Any, required: bool = False, limits: Any = ()
    ) -> Any:
        is_key = context.resource_arn.startswith(_KEY_ARN)
        return others(identity, context, policy, owner, required=required or is_key, limits=limits)

    return combined


def _with_bucket_owner(others: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def value(key: str, context: Any) -> Any:
        if key.lower() in _RESOURCE_ACCOUNT and context.resource_arn.startswith(_BUCKET_ARN):
            bucket = context.resource_arn.removeprefix(_BUCKET_ARN).partition("/")[0]
            return owner_of(bucket) or context.principal_account
        return others(key, context)

    return value
