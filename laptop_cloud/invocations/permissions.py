"""Actions and resources of requests to SageMaker, its runtime, Application Auto Scaling and Service Quotas.

As AWS's Service Authorization Reference has them; signatures of these requests are not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from laptop_cloud.api.account import Account
from laptop_cloud.api.service import ServiceError
from laptop_cloud.ministack.callers import Principal
from laptop_cloud.ministack.permissions import denial

#: Kind in the ARN of a resource of SageMaker, by the parameter with its name.
_KINDS: Final = {
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "ModelName": "model",
}


def check_allowed(caller: Principal, service: str, operation: str, params: Mapping[str, Any]) -> None:
    """Raise `ServiceError` unless the caller's policies allow the operation on each of its resources.

    `service` is the prefix of the action, e.g. `sagemaker`.
    """
    action = f"{service}:{operation}"
    for arn in _resources(service, params, caller.account):
        denied = denial(caller.access_key, action, caller.account, arn)
        if denied is not None:
            raise ServiceError("AccessDeniedException", denied)


def _resources(service: str, params: Mapping[str, Any], account: Account) -> Iterator[str]:
    """Yield the ARNs that a request names; `*` for one that names none, as those that list."""
    named = [
        account.arn(service, f"{kind}/{params[name]}")
        for name, kind in _KINDS.items()
        if service == "sagemaker" and isinstance(params.get(name), str)
    ]
    yield from named or ["*"]
