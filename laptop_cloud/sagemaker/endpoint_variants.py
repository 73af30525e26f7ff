"""The variants of an account's endpoints, as Application Auto Scaling reads and scales them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from laptop_cloud.api.records import Records
from laptop_cloud.api.service import invalid
from laptop_cloud.sagemaker.endpoint import Endpoint


class EndpointVariants:
    """`autoscaling.variants.ScaledVariants` of the endpoints of one account."""

    def __init__(self, endpoints: Callable[[], Records[Endpoint]]) -> None:
        """`endpoints` returns the account's endpoints."""
        self._endpoints = endpoints

    def check(self, endpoint: str, variant: str) -> None:
        """Raise `ServiceError` if there is no such variant."""
        if variant != self._endpoints().get(endpoint).fleet.name:
            raise invalid(f"Could not find variant {variant} of endpoint {endpoint}")

    def enforce_bounds(self, endpoint: str, variant: str, low: int, high: int) -> None:
        """Scale the variant into the bounds, after the operation in progress."""
        self._endpoints().get(endpoint).enforce_bounds(variant, low, high)

    def desired(self, endpoint: str) -> int | None:
        """Return the desired number of instances, those that are starting included; None: no endpoint."""
        found = self._endpoints().find(endpoint)
        return None if found is None else found.fleet.count

    def serving(self, endpoint: str) -> int:
        """Return the number of instances in service."""
        found = self._endpoints().find(endpoint)
        return 0 if found is None else found.instances

    def updating(self, endpoint: str) -> bool:
        """Return True unless the endpoint is in service, so that SageMaker refuses to scale it."""
        found = self._endpoints().find(endpoint)
        return found is None or found.status != "InService"

    def scale(self, endpoint: str, count: int) -> Awaitable[str | None]:
        """Begin to change the number of instances; return what waits for its end, and returns its failure.

        Raises `ServiceError` if another operation is in progress.
        """
        found = self._endpoints().get(endpoint)
        found.scale(count, found.fleet.weight)
        return _failure(found)


async def _failure(endpoint: Endpoint) -> str | None:
    await endpoint.settled()
    return endpoint.failure
