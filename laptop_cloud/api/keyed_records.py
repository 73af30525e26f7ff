"""Things that are known by several parameters together, such as a scaling policy by four."""

from __future__ import annotations

import hashlib
import uuid

from laptop_cloud.api.records import now
from laptop_cloud.api.service import Params, ServiceError, invalid

_DEFAULT_PAGE = 50
#: The parameters of Describe calls that filter, and what they are compared with.
_FILTERS = {
    "ServiceNamespace": "ServiceNamespace",
    "ResourceId": "ResourceId",
    "ResourceIds": "ResourceId",
    "ScalableDimension": "ScalableDimension",
    "PolicyNames": "PolicyName",
    "ScheduledActionNames": "ScheduledActionName",
}


class Keyed:
    """Records of one kind, in the order of their creation."""

    def __init__(self, noun: str, *key: str) -> None:
        """`noun` is the kind as messages name it; `key` are the parameters that identify a record."""
        self._noun = noun
        self._key = key
        self._records: dict[tuple[str, ...], Params] = {}

    def __contains__(self, params: Params) -> bool:
        """Whether there is the record that `params` identify."""
        return self._key_of(params) in self._records

    def all(self) -> list[Params]:
        """Every record, oldest first."""
        return list(self._records.values())

    def get(self, params: Params) -> Params:
        """The record that `params` identify. Raises `ServiceError` if there is none."""
        if params not in self:
            names = ", ".join(f"{name} {params[name]}" for name in self._key)
            raise ServiceError("ObjectNotFoundException", f"No {self._noun} found for {names}")
        return self._records[self._key_of(params)]

    def put(self, record: Params) -> Params:
        """Keep a record under the key that its own members make; return it."""
        self._records[self._key_of(record)] = record
        return record

    def remove(self, params: Params) -> Params:
        """Forget a record; the answer to the call is empty. Raises `ServiceError` if there is none."""
        self.get(params)
        del self._records[self._key_of(params)]
        return {}

    def remove_of(self, target: Params, *names: str) -> None:
        """Forget every record that has the same values as `target` under `names`."""
        for record in self.all():
            if all(record[name] == target[name] for name in names):
                self.remove(record)

    def page(self, params: Params, list_key: str) -> Params:
        """The answer of a Describe call: filtered and cut as its parameters say."""
        found = [record for record in self.all() if _matches(record, params)]
        token = params.get("NextToken", "0")
        if not token.isdigit():
            raise ServiceError("InvalidNextTokenException", f"NextToken {token!r} is not one of this call's")
        end = int(token) + int(params.get("MaxResults", _DEFAULT_PAGE))
        more = {"NextToken": str(end)} if end < len(found) else {}
        return {list_key: found[int(token) : end], **more}

    def fresh(self, params: Params) -> Params:
        """What a record has from its creation on: the old one's members, or a new creation time."""
        return self._records.get(self._key_of(params), {"CreationTime": now()})

    def identity(self, params: Params) -> str:
        """A UUID for the ARN of the record that `params` identify, the same each time."""
        digest = hashlib.sha256("|".join(self._key_of(params)).encode()).digest()
        return str(uuid.UUID(bytes=digest[:16]))

    def _key_of(self, params: Params) -> tuple[str, ...]:
        return tuple(params[name] for name in self._key)


def _matches(record: Params, params: Params) -> bool:
    for parameter, member in _FILTERS.items():
        wanted = params.get(parameter)
        if isinstance(wanted, str) and record[member] != wanted:
            return False
        if isinstance(wanted, list) and record[member] not in wanted:
            return False
    return True


def check_order(record: Params, low: str, high: str) -> None:
    """Raise `ServiceError` unless `record[low]` is at most `record[high]`."""
    if record[low] > record[high]:
        raise invalid(f"{low} {record[low]} must not be greater than {high} {record[high]}")
