"""Installation of the types of SageMaker and Application Auto Scaling in `ministack`'s CloudFormation.

`ministack` has no public way to add a type. Only this module and those of `laptop_cloud.ministack` of this
package use its private names; `check_emulator` checks that all exist before any is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Coroutine, Mapping
from importlib import import_module
from importlib.metadata import version
from types import FunctionType
from typing import Any, Final

from laptop_cloud.api.account import Account
from laptop_cloud.api.service import Params
from laptop_cloud.cloudformation.sagemaker_types import Created, DefinitionType, EndpointType, ResourceType
from laptop_cloud.cloudformation.scaling_types import ScalableTargetType, ScalingPolicyType
from laptop_cloud.services import ServiceRegistry, Services

TYPES: Final[tuple[ResourceType, ...]] = (
    DefinitionType("Model"),
    DefinitionType("EndpointConfig"),
    EndpointType(),
    ScalableTargetType(),
    ScalingPolicyType(),
)

_PACKAGE: Final = "ministack.services.cloudformation"
#: The private names that these modules use, by module of `ministack`, and the type of each.
_NAMES: Final[Mapping[str, Mapping[str, type]]] = {
    f"{_PACKAGE}.provisioners": {
        "_RESOURCE_HANDLERS": dict,
        "_REPLACING_PROPERTIES": dict,
        "_CUSTOM_NAME_REPLACEMENT": dict,
        "_STACK_TAG_PROPERTY": dict,
    },
    f"{_PACKAGE}.stacks": {"_runs_on_worker_thread": FunctionType},
    "ministack.core.responses": {
        "get_account_id": FunctionType,
        "get_region": FunctionType,
        "set_request_account_id": FunctionType,
        "set_request_region": FunctionType,
        "request_scope": FunctionType,
    },
    "ministack.core.iam_actions": {
        "s3_additional_checks": FunctionType,
        "_s3_action": FunctionType,
        "identity_denial_message": FunctionType,
        "extract_resource_arn": FunctionType,
        "s3_access_point_resources": FunctionType,
        "s3_service_context": FunctionType,
    },
    "ministack.core.iam_evaluator": {
        "EvalContext": type,
        "evaluate_resource_policy": FunctionType,
        "enforce": FunctionType,
        "AuthError": type,
        "caller_arn": FunctionType,
        "combine_resource_policy": FunctionType,
        "_resolve_condition_key": FunctionType,
        "_resource_policy": FunctionType,
    },
    "ministack.services.cloudwatch": {
        "_alarms": Container,
        "_describe_alarms": FunctionType,
        "_history_entries": FunctionType,
        "_parse_ts": FunctionType,
    },
    "ministack.services.ecr": {
        "_images": Container,
        "_layer_blobs": Container,
        "_manifest_blobs": Container,
    },
    "ministack.services.iam": {"_roles": Container},
    "ministack.services.kms": {"_keys": Container},
    "ministack.services.s3": {
        "_bucket_owner_account": FunctionType,
        "_bucket_policies": Container,
        "_buckets": Container,
        "_ensure_bucket": FunctionType,
        "_foreign_bucket_allows": FunctionType,
        "_bucket_default_sse_headers": FunctionType,
        "_put_bucket_encryption": FunctionType,
    },
    "ministack.services.sts": {"register_session": FunctionType, "_role_id": FunctionType},
}


class EmulatorChanged(RuntimeError):
    """A private name that this package uses is missing in `ministack`."""

    def __init__(self, missing: list[str]) -> None:
        """`missing` are the names with their modules."""
        super().__init__(
            f"ministack {version('ministack')} lacks {', '.join(missing)}, which this needs: install the "
            "version that requirements-local.txt pins, or fit laptop_cloud/cloudformation/install.py to it"
        )


def check_emulator() -> None:
    """Raise `EmulatorChanged` unless `ministack` has every private name that this package uses."""
    missing = [
        f"{module}.{name}"
        for module, names in _NAMES.items()
        for name, kind in names.items()
        if not isinstance(getattr(import_module(module), name, None), kind)
    ]
    if missing:
        raise EmulatorChanged(missing)


def install(registry: ServiceRegistry, loop: asyncio.AbstractEventLoop) -> None:
    """Add the types. `loop` is the event loop of the services in `registry`.

    Raises:
        EmulatorChanged: `ministack` lacks a private name that this package uses.
    """
    check_emulator()
    provisioners: Any = import_module(f"{_PACKAGE}.provisioners")
    stacks: Any = import_module(f"{_PACKAGE}.stacks")
    for kind in TYPES:
        provisioners._RESOURCE_HANDLERS[kind.name] = _handlers(kind, registry, loop)
        provisioners._REPLACING_PROPERTIES[kind.name] = kind.create_only()
        if kind.name_property:
            provisioners._CUSTOM_NAME_REPLACEMENT[kind.name] = {"name": kind.name_property}
        if kind.taggable:
            provisioners._STACK_TAG_PROPERTY[kind.name] = ("Tags", "list")
    blocking: Callable[[str], bool] = stacks._runs_on_worker_thread
    ours = frozenset(kind.name for kind in TYPES)
    stacks._runs_on_worker_thread = lambda name: name in ours or blocking(name)


def _handlers(
    kind: ResourceType, registry: ServiceRegistry, loop: asyncio.AbstractEventLoop
) -> dict[str, Callable[..., Any]]:
    """Return the handlers of one type. `ministack` calls them on a worker thread."""
    responses = import_module("ministack.core.responses")

    def on_loop(work: Callable[[Services], Coroutine[Any, Any, Any]]) -> Any:
        account = Account(responses.get_account_id(), responses.get_region())

        async def done() -> Any:
            return await work(registry.of(account))

        return asyncio.run_coroutine_threadsafe(done(), loop).result()

    def create(logical_id: str, props: Params, _stack: str) -> Created:
        created: Created = on_loop(lambda services: kind.create(services, logical_id, props))
        return created

    def update(physical_id: str, old: Params, new: Params, _stack: str) -> Created:
        updated: Created = on_loop(lambda services: kind.update(services, physical_id, old, new))
        return updated

    def delete(physical_id: str, _props: Params) -> None:
        on_loop(lambda services: kind.delete(services, physical_id))

    return {"create": create, "update": update, "delete": delete}
