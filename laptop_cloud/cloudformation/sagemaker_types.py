"""The CloudFormation types of SageMaker.

Each type creates, updates and deletes with the service's operations, so a template is validated by the same
rules as a request. Physical ids and attributes are those that CloudFormation documents.
"""

from __future__ import annotations

import secrets
import string
from typing import Any, Protocol

from laptop_cloud.api.service import Params, ServiceError
from laptop_cloud.api.service_model import coerced, service_model
from laptop_cloud.services import Services

Created = tuple[str, dict[str, str]]

_UPDATE_ONLY = ("RetainAllVariantProperties", "ExcludeRetainedVariantProperties", "RetainDeploymentConfig")


class ResourceFailed(Exception):
    """A resource failed; the message is the service's."""


class ResourceType(Protocol):
    """One CloudFormation type."""

    @property
    def name(self) -> str:
        """The type's name in templates."""

    @property
    def name_property(self) -> str | None:
        """The property with the resource's name, or None if a template cannot set the name."""

    @property
    def taggable(self) -> bool:
        """True if the type has Tags, to which CloudFormation adds the stack's."""

    def create_only(self) -> tuple[str, ...]:
        """Return the properties whose change replaces the resource."""

    async def create(self, services: Services, logical_id: str, props: Params) -> Created:
        """Create the resource; return its physical id and its attributes."""

    async def update(self, services: Services, physical_id: str, old: Params, new: Params) -> Created:
        """Update the resource in place."""

    async def delete(self, services: Services, physical_id: str) -> None:
        """Delete the resource, if it still exists."""


def typed(service: str, operation: str, params: Params) -> Params:
    """Return a template's properties with the types of the operation's parameters."""
    shape = service_model(service).operation_model(operation).input_shape
    typed: Params = coerced(shape, params)
    return typed


class DefinitionType:
    """`AWS::SageMaker::Model` and `AWS::SageMaker::EndpointConfig`: immutable but for their tags."""

    taggable = True

    def __init__(self, kind: str) -> None:
        """`kind` is `Model` or `EndpointConfig`."""
        self.name = f"AWS::SageMaker::{kind}"
        self.name_property: str = f"{kind}Name"
        self._kind = kind

    def create_only(self) -> tuple[str, ...]:
        """Return all properties but the tags."""
        members = service_model("sagemaker").operation_model(f"Create{self._kind}").input_shape.members
        return tuple(name for name in members if name != "Tags")

    async def create(self, services: Services, logical_id: str, props: Params) -> Created:
        """Create it with the template's name, or a generated one."""
        name = props.get(self.name_property) or _generated_name(logical_id)
        params = typed("sagemaker", f"Create{self._kind}", {**props, self.name_property: name})
        arn = services.sagemaker.call(f"Create{self._kind}", params)[f"{self._kind}Arn"]
        return self._created(arn)

    async def update(self, services: Services, physical_id: str, old: Params, new: Params) -> Created:
        """Update the tags."""
        _retag(services, physical_id, old, new)
        return self._created(physical_id)

    async def delete(self, services: Services, physical_id: str) -> None:
        """Delete it, though an endpoint may serve it, as the service does."""
        name = {self.name_property: _name_of(physical_id)}
        if services.rollbacks.keeps_config and _serves(services, _name_of(physical_id)):
            return
        if _exists(services, f"Describe{self._kind}", name):
            services.sagemaker.call(f"Delete{self._kind}", name)

    def _created(self, arn: str) -> Created:
        return arn, {self.name_property: _name_of(arn), f"{self._kind}Arn": arn}


class EndpointType:
    """`AWS::SageMaker::Endpoint`."""

    name = "AWS::SageMaker::Endpoint"
    name_property = "EndpointName"
    taggable = True

    def create_only(self) -> tuple[str, ...]:
        """Return the name: a new configuration is an update in place."""
        return ("EndpointName",)

    async def create(self, services: Services, logical_id: str, props: Params) -> Created:
        """Create it and wait until it is in service. A failed endpoint is deleted.

        Raises:
            ResourceFailed: the endpoint failed.
        """
        name = props.get("EndpointName") or _generated_name(logical_id)
        given = {key: value for key, value in props.items() if key not in _UPDATE_ONLY}
        services.sagemaker.call(
            "CreateEndpoint", typed("sagemaker", "CreateEndpoint", {**given, "EndpointName": name})
        )
        endpoint = services.sagemaker.endpoints.get(name)
        await endpoint.settled()
        if endpoint.status != "InService":
            reason = endpoint.failure
            await self.delete(services, endpoint.arn)
            raise ResourceFailed(f"Endpoint {name} failed: {reason}")
        return self._created(endpoint.arn)

    async def update(self, services: Services, physical_id: str, old: Params, new: Params) -> Created:
        """Run UpdateEndpoint and wait for it, unless the configuration is in force already.

        That is so when a stack rolls back after SageMaker has rolled back the deployment.

        Raises:
            ResourceFailed: the update failed; not if `services.rollbacks` hides it.
        """
        _retag(services, physical_id, old, new)
        endpoint = services.sagemaker.endpoints.get(_name_of(physical_id))
        await endpoint.settled()
        if endpoint.config["EndpointConfigName"] != new.get("EndpointConfigName"):
            given = {key: value for key, value in new.items() if key not in ("Tags", "EndpointName")}
            params = typed("sagemaker", "UpdateEndpoint", {**given, "EndpointName": endpoint.name})
            services.sagemaker.call("UpdateEndpoint", params)
            await endpoint.settled()
            if endpoint.failure and not services.rollbacks.hidden:
                raise ResourceFailed(f"Endpoint {endpoint.name}: {endpoint.failure}")
            endpoint.failure = None
        return self._created(physical_id)

    async def delete(self, services: Services, physical_id: str) -> None:
        """Delete it and wait until its last process has ended."""
        endpoint = services.sagemaker.endpoints.find(_name_of(physical_id))
        if endpoint is not None:
            await endpoint.settled()
            services.sagemaker.call("DeleteEndpoint", {"EndpointName": endpoint.name})
            await endpoint.settled()

    def _created(self, arn: str) -> Created:
        return arn, {"EndpointName": _name_of(arn), "EndpointArn": arn}


def _exists(services: Services, describe: str, name: Params) -> bool:
    try:
        services.sagemaker.call(describe, name)
    except ServiceError:
        return False
    return True


def _serves(services: Services, name: str) -> bool:
    """Return whether an endpoint serves the config or model of this name."""
    fleets = [endpoint.fleet for endpoint in services.sagemaker.endpoints.all()]
    return any(name in (fleet.config["EndpointConfigName"], fleet.model["ModelName"]) for fleet in fleets)


def _retag(services: Services, arn: str, old: Params, new: Params) -> None:
    """Set the resource's tags to the template's; tags from other sources stay."""
    wanted: list[dict[str, Any]] = new.get("Tags", [])
    gone = {tag["Key"] for tag in old.get("Tags", [])} - {tag["Key"] for tag in wanted}
    if gone:
        services.sagemaker.call("DeleteTags", {"ResourceArn": arn, "TagKeys": sorted(gone)})
    services.sagemaker.call("AddTags", {"ResourceArn": arn, "Tags": wanted})


def _name_of(arn: str) -> str:
    return arn.rpartition("/")[2]


def _generated_name(logical_id: str) -> str:
    """Return a name in CloudFormation's format, within SageMaker's 63 characters."""
    letters = string.ascii_letters + string.digits
    return f"{logical_id[:50]}-{''.join(secrets.choice(letters) for _ in range(12))}"
