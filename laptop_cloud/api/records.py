"""Named resources of one kind (models, endpoint configurations, endpoints) of one account."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from laptop_cloud.api.service import Params, invalid

T = TypeVar("T")


class Records(Generic[T]):
    """Records by name, with SageMaker's error messages for a missing or existing name."""

    def __init__(self, noun: str, arn_of: Callable[[str], str]) -> None:
        """`noun` is the kind in SageMaker's messages; `arn_of` makes an ARN from a name."""
        self._noun = noun
        self._arn_of = arn_of
        self._by_name: dict[str, T] = {}

    def add(self, name: str, record: T) -> None:
        """Store a new record. Raises `ServiceError` if the name is taken."""
        self.check_free(name)
        self._by_name[name] = record

    def check_free(self, name: str) -> None:
        """Raise `ServiceError` if the name is taken."""
        if name in self._by_name:
            raise invalid(f'Cannot create already existing {self._noun} "{self._arn_of(name)}".')

    def get(self, name: str) -> T:
        """Return the record of that name. Raises `ServiceError` if there is none."""
        if name not in self._by_name:
            raise invalid(f'Could not find {self._noun} "{self._arn_of(name)}".')
        return self._by_name[name]

    def find(self, name: str) -> T | None:
        """Return the record of that name, or None."""
        return self._by_name.get(name)

    def remove(self, name: str) -> T:
        """Delete a record and return it. Raises `ServiceError` if there is none."""
        record = self.get(name)
        del self._by_name[name]
        return record

    def all(self) -> list[T]:
        """Return every record, oldest first."""
        return list(self._by_name.values())


def summaries(records: Sequence[Params], *members: str) -> list[Params]:
    """Return these members of each record, newest first: SageMaker's default order of a List operation."""
    return [{member: record[member] for member in members} for record in reversed(records)]


def now() -> float:
    """Return the current time as the API's timestamps have it: seconds since the epoch."""
    return time.time()
