"""IAM's decision for requests that `ministack` does not answer. `cloudformation.install` checks the names."""

from __future__ import annotations

import contextvars
from importlib import import_module
from typing import Any

from laptop_cloud.api.account import Account


def denial(access_key: str, action: str, account: Account, arn: str) -> str | None:
    """Return why the policies of the caller, and of the resource, do not allow `action`; None if they do.

    `account` is the account in which the request is made, `arn` the resource's.
    """
    responses: Any = import_module("ministack.core.responses")
    evaluator: Any = import_module("ministack.core.iam_evaluator")
    actions: Any = import_module("ministack.core.iam_actions")
    service = action.partition(":")[0]

    def scoped() -> Any:
        responses.set_request_account_id(account.id)
        responses.set_request_region(account.region)
        return evaluator.enforce(access_key, action, service, account.region, resource_arn=arn)

    denied = contextvars.copy_context().run(scoped)
    if denied is None:
        return None
    if isinstance(denied, evaluator.AuthError):
        return str(denied.message)
    explicit = denied.decision == "Deny"
    return str(actions.identity_denial_message(action, denied.principal_arn, arn, explicit))
