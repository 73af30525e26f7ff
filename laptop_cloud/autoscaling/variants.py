"""SageMaker's side of Application Auto Scaling: the operations on variants that it needs."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol


class ScaledVariants(Protocol):
    """The variants of one account; an endpoint has one."""

    def check(self, endpoint: str, variant: str) -> None:
        """Raise `ServiceError` if there is no such variant."""

    def enforce_bounds(self, endpoint: str, variant: str, low: int, high: int) -> None:
        """Scale the variant into the bounds, after the operation in progress."""

    def desired(self, endpoint: str) -> int | None:
        """Return the desired number of instances, those that are starting included; None: no endpoint."""

    def serving(self, endpoint: str) -> int:
        """Return the number of instances in service."""

    def updating(self, endpoint: str) -> bool:
        """Return True while an operation on the endpoint is in progress."""

    def scale(self, endpoint: str, count: int) -> Awaitable[str | None]:
        """Begin to change the number of instances; return what waits for its end, and returns its failure.

        Raises `ServiceError` if SageMaker refuses it: another operation is in progress.
        """
