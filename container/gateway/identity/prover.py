"""Proof that an adapter has an effect and is the one that was published, by repeated probes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from container.gateway.adapters.download import parse_engine_id
from container.gateway.adapters.registry import Adapter, ObjectStore, StoreError
from container.gateway.errors import ADAPTER_WITHOUT_EFFECT, WRONG_ADAPTER, GatewayError, adapter_error
from container.gateway.identity.margins import margin
from container.gateway.identity.records import ProbeRecord, ProbeRecords
from container.gateway.identity.weights import are_alike, is_published
from container.gateway.proof.conditions import BaseModel, Conditions, EngineFacts
from container.gateway.proof.probe import Probe

#: An effect of this many margins is so clear that another adapter's equals it only by being the same.
CLEAR = 4
#: Seconds between attempts to take the base model's probe, and the least between two repeated probes.
PAUSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Probed(Protocol):
    """The part of `Backend` that the prover calls."""

    async def facts(self) -> EngineFacts:
        """Return the running engine's facts; raises `GatewayError`."""
        ...

    async def probe(self, adapter: str | None) -> Probe:
        """Return the probe of a loaded adapter or of the base model; raises `GatewayError`."""
        ...

    def files(self, engine_id: str) -> Path:
        """Return the directory where the engine keeps an adapter's files."""
        ...


class Residents(Protocol):
    """The part of `AdapterCache` that the prover reads; engine ids."""

    @property
    def loaded(self) -> Sequence[str]:
        """The loaded adapters."""
        ...

    @property
    def in_use(self) -> Sequence[str]:
        """The loaded adapters that the engine has in its memory for certain."""
        ...


@dataclass(frozen=True)
class _Reference:
    """The base model's probe on this instance, and the conditions of all probes here."""

    conditions: Conditions
    base: Probe

    @property
    def margin(self) -> float:
        """The margin for the engine's type of numbers."""
        return margin(self.conditions.engine.dtype)


@dataclass(frozen=True)
class _Proof:
    """The probe that a revision's later ones must be equal to."""

    probe: Probe
    recorded: bool
    """False if the store failed: the next probe is compared as the first one is."""


class Prover:
    """Compares the probes of one instance, at each load and in a share of the time afterwards.

    The first probe of a revision here is compared with the record of the revision. Without a record it must
    differ from the base model, else the adapter is refused (409); its files must have their digest; and it
    must not equal another revision's here, unless their weights are alike. Then its record is created.
    Later probes are compared with the record, and the base model's with its first one.

    If the store fails, the rest is checked all the same and the adapter is served: its files may be on the
    disk, and an outage of S3 must not become one of the endpoint. The record is compared at a later probe.

    A probe that is not what it must be means that the engine answers with other weights than the requested
    ones. Then `on_wrong_adapter` is called, which takes the instance out of service.
    """

    def __init__(
        self,
        backend: Probed,
        store: ObjectStore,
        base: BaseModel,
        residents: Callable[[], Residents],
        on_wrong_adapter: Callable[[], None],
    ) -> None:
        """Keep records in `store`. `residents` returns the cache, which is built with this object."""
        self._backend = backend
        self._records = ProbeRecords(store)
        self._base = base
        self._residents = residents
        self._on_wrong_adapter = on_wrong_adapter
        self._proofs: dict[str, _Proof] = {}
        #: When each engine id, or None for the base model, was probed last.
        self._probed_at: dict[str | None, float] = {}
        self._reference: _Reference | None = None
        self._lock = asyncio.Lock()
        self._started = asyncio.Event()
        #: Probes since the start that were not what they had to be.
        self.wrong_adapters = 0

    async def start(self) -> None:
        """Take the base model's probe; tries until the engine gives one."""
        while True:
            try:
                await self._get_reference()
                break
            except GatewayError as error:
                _log.warning("no probe of the base model: %s: %s", error.error_type, error.message)
            await asyncio.sleep(PAUSE_SECONDS)
        self._started.set()

    async def prove(self, adapter: Adapter, probe: Probe) -> None:
        """Check the probe of a load; raises `GatewayError`: 409 without effect, 500 for a wrong adapter."""
        await self._check(adapter.engine_id, probe)

    async def watch(self, share: float) -> None:
        """Repeat probes in this share of the time, from the start on until cancelled."""
        await self._started.wait()
        while share > 0 and not self.wrong_adapters:
            began = time.monotonic()
            target = self._next()
            try:
                await self.repeat(target)
            except GatewayError as error:
                _log.warning("probe of %s: %s: %s", target or "the base", error.error_type, error.message)
            await asyncio.sleep(max(PAUSE_SECONDS, (time.monotonic() - began) / share))
        # Nothing is left to do, but the end of a background task would end the process.
        await asyncio.Event().wait()

    async def repeat(self, engine_id: str | None) -> None:
        """Probe a resident adapter, or the base model, and check it; raises `GatewayError`."""
        self._probed_at[engine_id] = time.monotonic()
        try:
            probe = await self._backend.probe(engine_id)
        except GatewayError as error:
            if error.error_type == WRONG_ADAPTER:
                self._leave_service()
            raise
        if engine_id is not None:
            await self._check(engine_id, probe)
            return
        reference = await self._get_reference()
        self._compare("the base model", probe, reference.base, reference.margin)

    def _next(self) -> str | None:
        """Return what was probed longest ago, of the base model and the adapters in use."""
        loaded = self._residents().loaded
        revisions = {_revision(engine_id) for engine_id in loaded}
        self._proofs = {known: proof for known, proof in self._proofs.items() if known in revisions}
        targets = [None, *self._residents().in_use]
        self._probed_at = {each: at for each, at in self._probed_at.items() if each is None or each in loaded}
        return min(targets, key=lambda each: self._probed_at.get(each, 0.0))

    async def _get_reference(self) -> _Reference:
        async with self._lock:
            if self._reference is None:
                conditions = Conditions(await self._backend.facts(), self._base)
                self._reference = _Reference(conditions, await self._backend.probe(None))
                _log.info("probes are taken on %s", conditions)
            return self._reference

    async def _check(self, engine_id: str, probe: Probe) -> None:
        reference = await self._get_reference()
        revision = _revision(engine_id)
        proof = self._proofs.get(revision)
        if proof is None or not proof.recorded:
            proof = self._proofs[revision] = await self._first(engine_id, probe, reference)
        self._compare(engine_id, probe, proof.probe, reference.margin)

    async def _first(self, engine_id: str, probe: Probe, reference: _Reference) -> _Proof:
        """Return the recorded proof, or check a revision without a record and create it."""
        revision = _revision(engine_id)
        try:
            recorded = await self._records.read(revision, reference.conditions)
            if recorded is not None:
                return _Proof(recorded, recorded=True)
            await self._check_new(engine_id, probe, reference)
            record = ProbeRecord(revision, reference.conditions, probe, reference.margin)
            return _Proof(await self._records.create(record), recorded=True)
        except StoreError as error:
            _log.warning("%s is not compared with its record, the store fails: %s", engine_id, error)
            await self._check_new(engine_id, probe, reference)
            return _Proof(probe, recorded=False)

    async def _check_new(self, engine_id: str, probe: Probe, reference: _Reference) -> None:
        effect = probe.distance(reference.base)
        if effect <= reference.margin:
            raise adapter_error(
                ADAPTER_WITHOUT_EFFECT,
                "The adapter changes nothing (AdapterWithoutEffect): the base model gives a fixed text the "
                f"same probabilities, within {reference.margin:g} nats: train it longer, or check that it is "
                "for this base model and that its tensors have the model's names, then publish it again",
            )
        if not await asyncio.to_thread(is_published, self._backend.files(engine_id), _revision(engine_id)):
            self._wrong(f"{engine_id}: its files on the disk are not those of its revision")
        if effect < CLEAR * reference.margin:
            return
        for other in self._residents().loaded:
            proof = self._proofs.get(_revision(other))
            if proof is None or _revision(other) == _revision(engine_id):
                continue
            if probe.distance(proof.probe) <= reference.margin and not await asyncio.to_thread(
                are_alike, self._backend.files(engine_id), self._backend.files(other)
            ):
                self._wrong(f"{engine_id}: its probe is that of {other}, and their weights differ")

    def _compare(self, what: str, probe: Probe, expected: Probe, limit: float) -> None:
        distance = probe.distance(expected)
        if distance > limit:
            self._wrong(f"{what}: its probe is {distance:.4f} nats from its record, above {limit:g}")
        if distance > limit / 2:
            _log.warning("%s: its probe is %.4f nats from its record, near %g", what, distance, limit)

    def _wrong(self, problem: str) -> NoReturn:
        self._leave_service()
        _log.error(
            "wrong adapter: %s: the instance leaves service; keep this log for the engine's authors", problem
        )
        raise GatewayError.wrong_adapter()

    def _leave_service(self) -> None:
        self.wrong_adapters += 1
        self._on_wrong_adapter()


def _revision(engine_id: str) -> str:
    return parse_engine_id(engine_id)[1]
