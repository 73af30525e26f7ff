"""Records with a key of several parameters, such as a scaling policy's four."""

from __future__ import annotations

import hashlib
import uuid

from laptop_cloud.api.records import now
from laptop_cloud.api.service import Params, ServiceError, invalid, refuse_others

#: The parameters of a Describe operation that select records, and the member that each is compared with.
_SELECTORS = {
    "ServiceNamespace": "ServiceNamespace",
    "ResourceId": "ResourceId",
    "ResourceIds": "ResourceId",
    "ScalableDimension": "ScalableDimension",
}


class KeyedRecords:
    """Records of one kind, in the order of their creation."""

    def __init__(self, noun: str, *key: str) -> None:
        """`noun` is the kind in messages; `key` are the parameters that identify a record."""
        self._noun = noun
        self._key = key
        self._records: dict[tuple[str, ...], Params] = {}

    def __contains__(self, params: Params) -> bool:
        """Return True if `params` identify a record."""
        return self._key_of(params) in self._records

    def all(self) -> list[Params]:
        """Return every record, oldest first."""
        return list(self._records.values())

    def get(self, params: Params) -> Params:
        """Return the record that `params` identify. Raises `ServiceError` if there is none."""
        if params not in self:
            names = ", ".join(f"{name} {params[name]}" for name in self._key)
            raise ServiceError("ObjectNotFoundException", f"No {self._noun} found for {names}")
        return self._records[self._key_of(params)]

    def put(self, record: Params) -> None:
        """Store a record under the key in its members."""
        self._records[self._key_of(record)] = record

    def remove(self, params: Params) -> Params:
        """Delete a record; return the operation's empty response. Raises `ServiceError` if there is none."""
        self.get(params)
        del self._records[self._key_of(params)]
        return {}

    def remove_matching(self, target: Params, *names: str) -> None:
        """Delete every record with the same values as `target` under `names`."""
        for record in self.all():
            if all(record[name] == target[name] for name in names):
                self.remove(record)

    def describe(self, operation: str, params: Params) -> list[Params]:
        """Return the records that the parameters of a Describe operation select, all at once.

        Raises `ServiceError` for a parameter that is not emulated.
        """
        refuse_others(operation, params, _SELECTORS)
        return [record for record in self.all() if _matches(record, params)]

    def created(self, params: Params) -> Params:
        """Return the existing record that `params` identify, or the creation time of a new one."""
        return self._records.get(self._key_of(params), {"CreationTime": now()})

    def uuid(self, params: Params) -> str:
        """Return a UUID for the ARN of the record that `params` identify, the same each time."""
        digest = hashlib.sha256("|".join(self._key_of(params)).encode()).digest()
        return str(uuid.UUID(bytes=digest[:16]))

    def _key_of(self, params: Params) -> tuple[str, ...]:
        return tuple(params[name] for name in self._key)


def _matches(record: Params, params: Params) -> bool:
    for parameter, wanted in params.items():
        value = record[_SELECTORS[parameter]]
        if value not in (wanted if isinstance(wanted, list) else [wanted]):
            return False
    return True


def check_order(record: Params, low: str, high: str) -> None:
    """Raise `ServiceError` unless `record[low]` is at most `record[high]`."""
    if record[low] > record[high]:
        raise invalid(f"{low} {record[low]} must not be greater than {high} {record[high]}")
