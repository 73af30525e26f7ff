"""The named things of one kind (models, endpoint configurations, endpoints) in one place."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from laptop_cloud.api.service import Params, invalid

T = TypeVar("T")

_DEFAULT_PAGE = 10


class Records(Generic[T]):
    """Records by name, with the service's own words where one is missing or already there."""

    def __init__(self, noun: str, arn_of: Callable[[str], str]) -> None:
        """`noun` is the kind as the service's messages name it; `arn_of` makes an ARN from a name."""
        self._noun = noun
        self._arn_of = arn_of
        self._by_name: dict[str, T] = {}

    def add(self, name: str, record: T) -> None:
        """Keep a new record. Raises `ServiceError` if the name is taken."""
        self.check_free(name)
        self._by_name[name] = record

    def check_free(self, name: str) -> None:
        """Raise `ServiceError` if the name is taken."""
        if name in self._by_name:
            raise invalid(f'Cannot create already existing {self._noun} "{self._arn_of(name)}".')

    def get(self, name: str) -> T:
        """The record of that name. Raises `ServiceError` if there is none."""
        if name not in self._by_name:
            raise invalid(f'Could not find {self._noun} "{self._arn_of(name)}".')
        return self._by_name[name]

    def find(self, name: str) -> T | None:
        """The record of that name, if there is one."""
        return self._by_name.get(name)

    def remove(self, name: str) -> T:
        """Forget a record and return it. Raises `ServiceError` if there is none."""
        record = self.get(name)
        del self._by_name[name]
        return record

    def all(self) -> list[T]:
        """Every record, oldest first."""
        return list(self._by_name.values())


def page(summaries: list[Params], params: Params, name_key: str, list_key: str) -> Params:
    """One page of a List call: filtered, sorted and cut as its parameters say.

    Newest first unless asked otherwise, ten to a page, as SageMaker does.
    """
    wanted = [s for s in summaries if _matches(s, params, name_key)]
    sort_key = {"Name": name_key, "Status": "EndpointStatus"}.get(params.get("SortBy", ""), "CreationTime")
    wanted.sort(key=lambda s: s[sort_key], reverse=params.get("SortOrder", "Descending") == "Descending")
    start = _start(params.get("NextToken"))
    end = start + int(params.get("MaxResults", _DEFAULT_PAGE))
    more = {"NextToken": str(end)} if end < len(wanted) else {}
    return {list_key: wanted[start:end], **more}


def _start(token: Any) -> int:
    if token is None:
        return 0
    if not str(token).isdigit():
        raise invalid(f"NextToken {token!r} is not one that this call returned")
    return int(token)


def _matches(summary: Params, params: Params, name_key: str) -> bool:
    if params.get("NameContains", "").lower() not in summary[name_key].lower():
        return False
    if "StatusEquals" in params and summary["EndpointStatus"] != params["StatusEquals"]:
        return False
    for field in ("CreationTime", "LastModifiedTime"):
        after, before = params.get(f"{field}After"), params.get(f"{field}Before")
        if after is not None and summary[field] < after:
            return False
        if before is not None and summary[field] > before:
            return False
    return True


def now() -> float:
    """The time as the API's timestamps carry it: seconds since the epoch."""
    return time.time()
