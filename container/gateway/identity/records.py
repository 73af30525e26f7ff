"""Records of probes in the adapter store: one per revision and conditions of its probe, immutable."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass

from adapters.store.layout import PROBES_PREFIX
from container.gateway.adapters.registry import ObjectStore
from container.gateway.proof.conditions import Conditions
from container.gateway.proof.probe import Probe

#: Decimals of a log probability in a record, far below every margin.
_DECIMALS = 6

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProbeRecord:
    """The probe of one revision under some conditions; holds nothing of a request."""

    revision: str
    conditions: Conditions
    probe: Probe
    margin: float
    """The margin by which it was found to differ from the base model, in nats."""

    def to_json(self) -> bytes:
        """Return the object as it is stored."""
        logprobs = [round(value, _DECIMALS) for value in self.probe.logprobs]
        content = {
            "revision": self.revision,
            "conditions": asdict(self.conditions),
            "margin": self.margin,
            "logprobs": logprobs,
        }
        return json.dumps(content).encode()


class ProbeRecords:
    """The records of one store; both methods raise `StoreError`."""

    def __init__(self, store: ObjectStore) -> None:
        """Read and create objects under `PROBES_PREFIX`."""
        self._store = store

    async def read(self, revision: str, conditions: Conditions) -> Probe | None:
        """Return the recorded probe; None if there is no record, or one that cannot be read."""
        key = record_key(revision, conditions)
        body = await self._store.read(key)
        if body is None:
            return None
        try:
            return Probe(tuple(float(value) for value in json.loads(body)["logprobs"]))
        except (ValueError, LookupError, TypeError):
            # Never written over: the container may only create records.
            _log.error("%s in the adapter store is not a probe's record: delete it, to take it again", key)
            return None

    async def create(self, record: ProbeRecord) -> Probe:
        """Create a record; return the probe that the store has then, perhaps another instance's."""
        if await self._store.create(record_key(record.revision, record.conditions), record.to_json()):
            return record.probe
        return await self.read(record.revision, record.conditions) or record.probe


def record_key(revision: str, conditions: Conditions) -> str:
    """Return the key of a record."""
    return f"{PROBES_PREFIX}{revision}/{conditions.digest}.json"
