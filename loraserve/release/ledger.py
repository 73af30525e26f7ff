"""The ledger of a stage, in its bucket: releases, records of the deployments, hold and lock.

    releases/<id>/…                                 the last releases; see `loraserve.release.stored_releases`
    releases/records/<start>-<id or by-hand>.json   the records: never changed, never deleted
    releases/current.json                           the record of the deployment that serves
    releases/hold.json                              the reason for which no release is promoted to the stage
    releases/lock.json                              the deployment under way; see `loraserve.release.lock`

Each object is written as a whole, by a conditional request where two writers could meet, so it is never half
written and no write is lost. The bucket encrypts them as all its objects. Records have no expiry.

Another stage's deployment reads `current.json` and the releases, one object at a time: a stage that lists it
in `store_readers` needs no permission to list the bucket.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.store.layout import RELEASES_PREFIX
from adapters.store.s3 import S3Client, is_denied
from loraserve.adapters.open_store import deployed_bucket
from loraserve.adapters.stage_store import in_parallel
from loraserve.aws import Client
from loraserve.errors import NotDeployed, UserError
from loraserve.release.documents import ABSENT, Documents, StoredDocument
from loraserve.release.lock import LOCK_KEY, HeldLock, Lease, StageLock, locked_stage, read_lock
from loraserve.release.record import DeploymentKind, DeploymentRecord, Outcome
from loraserve.release.release import Release, ReleaseError, to_json
from loraserve.release.stored_releases import delete_releases, fetch_release, store_release, stored_releases
from stacks.config.stage_target import StageTarget

RECORDS_PREFIX = f"{RELEASES_PREFIX}records/"
CURRENT_KEY = f"{RELEASES_PREFIX}current.json"
HOLD_KEY = f"{RELEASES_PREFIX}hold.json"
#: Releases that keep their archives, those deployed last: a stage can be rolled back to them.
KEPT_RELEASES = 20
#: Stands in a record's key for the release of a deployment without one.
_BY_HAND = "by-hand"


class LedgerError(UserError):
    """A record that cannot be read or written."""


class Hold(BaseModel):
    """The reason for which no release is promoted to a stage until `release resume`."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    reason: str
    by: str
    """Run or user that set it."""
    since: datetime


@dataclass(frozen=True)
class Ledger:
    """The ledger of one stage."""

    s3: S3Client
    """boto3's client; threads use it at the same time."""
    bucket: str
    stage: str
    """Name of the stage, for messages."""

    @property
    def _documents(self) -> Documents:
        return Documents(self.s3, self.bucket)

    def now(self) -> datetime:
        """Return the time by S3's clock, by which records of different machines are in order."""
        return self._documents.get(HOLD_KEY).answered

    def current(self) -> DeploymentRecord | None:
        """Return the record of what serves, None if there is none; raises `LedgerError`."""
        stored = self._read(CURRENT_KEY)
        return None if stored.body is None else _parse(CURRENT_KEY, stored.body)

    def records(self, limit: int) -> list[DeploymentRecord]:
        """Return the last records, the newest first; raises `LedgerError`."""
        keys = self._documents.keys(RECORDS_PREFIX)[::-1][:limit]
        bodies = in_parallel(lambda key: self._read(key).body, keys)
        return [_parse(key, body) for key, body in zip(keys, bodies, strict=True) if body is not None]

    def write(self, record: DeploymentRecord) -> None:
        """Add a record to the history and, unless it failed, make it the current one.

        Idempotent. Raises `LedgerError` if a deployment that started later is recorded as the current one:
        the current record never goes back.
        """
        before = self._read(CURRENT_KEY)
        body = to_json(record)
        becomes_current = record.outcome is not Outcome.FAILED
        if becomes_current and before.body is not None and before.body != body:
            known = _parse(CURRENT_KEY, before.body)
            if _started(known) > _started(record):
                raise self._overtaken(known)
        # First the history: it has each record that was ever the current one.
        self._append(_record_key(record), body)
        if becomes_current:
            stored = self._documents.put(CURRENT_KEY, body, before)
            if stored.body != body:
                raise self._overtaken(_parse(CURRENT_KEY, stored.body or b""))

    def hold(self) -> Hold | None:
        """Return the hold, None if releases may be promoted; raises `LedgerError`."""
        return self._parsed_hold(self._read(HOLD_KEY))

    def set_hold(self, reason: str, by: str) -> Hold:
        """Hold the stage; a hold with another reason is replaced."""
        before = self._read(HOLD_KEY)
        known = self._parsed_hold(before)
        if known is not None and (known.reason, known.by) == (reason, by):
            return known
        hold = Hold(reason=reason, by=by, since=before.answered)
        body = to_json(hold)
        if self._documents.put(HOLD_KEY, body, before).body != body:
            raise self._hold_changed()
        return hold

    def resume(self) -> Hold | None:
        """End the hold and return it, None if there was none."""
        stored = self._read(HOLD_KEY)
        hold = self._parsed_hold(stored)
        if hold is not None and self._documents.delete(HOLD_KEY, stored).body is not None:
            raise self._hold_changed()
        return hold

    def lock(
        self, kind: DeploymentKind, *, release: str | None, run: str = "", lease: Lease | None = None
    ) -> AbstractContextManager[HeldLock]:
        """Hold the stage's lock for the length of the block; raises `StageLocked`.

        `run` is the URL of a pipeline's run: started again, it takes over its own lock. The block calls
        `HeldLock.confirm` before each change, and `HeldLock.started` is the start for the record.
        """
        return locked_stage(self._documents, self.stage, kind, release=release, run=run, lease=lease)

    def locked_by(self) -> StageLock | None:
        """Return the lock, None if there is none; raises `StageLocked` if another version wrote it."""
        return read_lock(self._read(LOCK_KEY))

    def unlock(self) -> bool:
        """Remove the lock; return whether there was one. Its holder ends before its next change."""
        stored = self._read(LOCK_KEY)
        is_locked = stored.body is not None
        while stored.body is not None:  # its holder may renew it meanwhile
            stored = self._documents.delete(LOCK_KEY, stored)
        return is_locked

    def upload(self, release: Release, archive: Path) -> None:
        """Store a release, and delete the archives of those that were deployed before the last ones.

        Idempotent, also after an interruption. The archive has the bytes that its description,
        `release.json` beside it, names. Raises `ReleaseError` if the stage has another release of this id.
        """
        store_release(self._documents, self.stage, release, archive)
        current = self.current()
        kept = {release.release, None if current is None else current.release}
        delete_releases(self._documents, kept=kept | set(self._last_releases()))

    def download(self, release: str, folder: Path) -> Path:
        """Write a stored release to `<folder>/<release>`, and return that; `open_release` checks it.

        Raises `ReleaseError` if the stage does not have it.
        """
        if re.fullmatch(r"[0-9A-Za-z-]+", release) is None:
            raise ReleaseError(
                f"{release!r} is no id of a release, such as 2026-11-27-1a2b3c4: 'python -m loraserve "
                f"release show {self.stage}' lists those of the stage"
            )
        found = folder / release
        found.mkdir(parents=True, exist_ok=True)
        fetch_release(self._documents, self.stage, release, found)
        return found

    def stored_releases(self) -> list[str]:
        """List the ids of the releases that the stage can be rolled back to, sorted."""
        return stored_releases(self._documents)

    def _last_releases(self) -> list[str]:
        """List the releases that were deployed last, the newest first, from the keys of the records."""
        deployed = (_released(key) for key in self._documents.keys(RECORDS_PREFIX)[::-1])
        return list(dict.fromkeys(release for release in deployed if release != _BY_HAND))[:KEPT_RELEASES]

    def _append(self, key: str, body: bytes) -> None:
        if self._documents.put(key, body, ABSENT).body != body:
            raise LedgerError(
                f"{key} is another deployment's record: two started in the same second; run this again"
            )

    def _read(self, key: str) -> StoredDocument:
        try:
            return self._documents.get(key)
        except self.s3.exceptions.ClientError as error:
            if not is_denied(error):
                raise
            raise LedgerError(
                f"s3://{self.bucket}/{key}: S3 refuses these credentials, as it also does for an object that "
                "does not exist. Allow them s3:GetObject on releases/* and kms:Decrypt; list those of "
                f"another account in store_readers of stages/{self.stage}.yaml"
            ) from error

    def _parsed_hold(self, stored: StoredDocument) -> Hold | None:
        if stored.body is None:
            return None
        try:
            return Hold.model_validate_json(stored.body)
        except ValidationError as error:
            raise _unreadable(HOLD_KEY) from error

    def _overtaken(self, known: DeploymentRecord) -> LedgerError:
        return LedgerError(
            f"stage {self.stage!r} was deployed by another run meanwhile: its current record is of "
            f"{known.release or known.kind}, started {known.started} ({known.run}); see 'python -m loraserve "
            f"release show {self.stage}', and run this again if it is still wanted"
        )

    def _hold_changed(self) -> LedgerError:
        return LedgerError(
            f"the hold of stage {self.stage!r} was changed by another run just now: see 'python -m loraserve "
            f"release show {self.stage}', and run this again"
        )


def open_ledger(target: StageTarget, client: Client) -> Ledger | None:
    """Open a stage's ledger; None before its first deployment, which creates the bucket.

    `client` has credentials of the stage's account: the bucket's name is an output of its stack.
    """
    try:
        bucket = deployed_bucket(client("cloudformation"), target)
    except NotDeployed:
        return None
    return Ledger(client("s3"), bucket, target.name)


def timestamp(time: datetime) -> str:
    """Return a time as records have it, e.g. `2026-11-27T20:07:39Z`."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _record_key(record: DeploymentRecord) -> str:
    # A colon in a key has to be escaped in some clients (S3 User Guide, "Object key names").
    started = timestamp(_started(record)).replace(":", "")
    return f"{RECORDS_PREFIX}{started}-{record.release or _BY_HAND}.json"


def _started(record: DeploymentRecord) -> datetime:
    return datetime.fromisoformat(record.started)


def _released(key: str) -> str:
    """Return the release in a record's key; `_BY_HAND` for none."""
    name = key.removeprefix(RECORDS_PREFIX).removesuffix(".json")
    return name.partition("Z-")[2]


def _parse(key: str, body: bytes) -> DeploymentRecord:
    try:
        return DeploymentRecord.model_validate_json(body)
    except ValidationError as error:
        raise _unreadable(key) from error


def _unreadable(key: str) -> LedgerError:
    return LedgerError(
        f"{key} is damaged, or of a later version of this program: use the version that wrote it, or bring "
        "back the object's former version"
    )
