"""The lock of a stage, `releases/lock.json` in its bucket: one deployment at a time, wherever it runs.

A lock is a lease: a thread of the holder renews it, and a lock that was not renewed in time is free. It is
also free at once if its holder is a process of this machine that has ended, or the same run of a pipeline,
started again. Times are S3's, so the clocks of the machines do not matter.

A holder can lose its lock: to `release unlock`, or to another run after an outage of its network that lasted
longer than the lease. So it confirms the lock before each change, which is the only point at which a run can
end safely: what CloudFormation does by then, it completes.
"""

from __future__ import annotations

import getpass
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.store.layout import RELEASES_PREFIX
from loraserve.errors import UserError
from loraserve.release.documents import Documents, StoredDocument
from loraserve.release.record import DeploymentKind
from loraserve.release.release import to_json

LOCK_KEY = f"{RELEASES_PREFIX}lock.json"


class StageLocked(UserError):
    """Another deployment of the stage is under way; nothing was changed."""


class LockLost(UserError):
    """The lock was removed or taken over: the run ends before its next change."""


@dataclass(frozen=True)
class Lease:
    """Validity of a lock without a renewal, and the seconds between two renewals."""

    seconds: float = 120
    renewal_seconds: float = 30


class LockHolder(BaseModel):
    """The content of the lock."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    kind: DeploymentKind
    release: str | None
    """None for a deployment by hand."""
    run: str
    """URL of the pipeline's run; empty for a run by hand."""
    user: str
    host: str
    machine: str
    """Identity of the machine's current boot and, in Linux, of the PID namespace."""
    pid: int
    started: datetime
    lease_seconds: float
    token: str
    """Random: no two holders have the same, also not the same process twice."""
    renewals: int = 0
    """Makes each renewal another content, and so another ETag where S3 computes it from the content."""

    @property
    def description(self) -> str:
        """Deployment, time and place for a message."""
        subject = "a deployment by hand" if self.release is None else f"the {self.kind} of {self.release}"
        run = self.run or f"{self.user} on {self.host}, process {self.pid}"
        return f"{subject} since {self.started:%Y-%m-%d %H:%M:%S} UTC ({run})"


@dataclass(frozen=True)
class StageLock:
    """A lock as it is stored."""

    holder: LockHolder
    expires: datetime
    """By S3's clock, unless it is renewed."""
    is_expired: bool


class HeldLock:
    """The lock while this process holds it."""

    def __init__(self, documents: Documents, holder: LockHolder, stage: str, stored: StoredDocument) -> None:
        """`stored` is the lock as it was written for the `holder`."""
        self._documents = documents
        self._holder = holder
        self._stage = stage
        self._stored = stored
        self._one_at_a_time = threading.Lock()

    @property
    def started(self) -> datetime:
        """Time at which the lock was acquired, by S3's clock: the start of the deployment."""
        return self._holder.started

    def confirm(self) -> None:
        """Renew the lock now, before a change; raises `LockLost`, or boto3's errors without an answer."""
        with self._one_at_a_time:
            renewed = self._holder.model_copy(update={"renewals": self._holder.renewals + 1})
            body = to_json(renewed)
            stored = self._documents.put(LOCK_KEY, body, self._stored)
            if stored.body != body:
                raise self._lost(stored)
            self._holder, self._stored = renewed, stored

    def release(self) -> None:
        """Remove the lock, unless another run has it by now."""
        with self._one_at_a_time:
            self._documents.delete(LOCK_KEY, self._stored)

    def _lost(self, now: StoredDocument) -> LockLost:
        other = read_lock(now)
        taken = "it was removed" if other is None else f"it was taken over by {other.holder.description}"
        return LockLost(
            f"stage {self._stage!r}: this run has lost the lock, {taken}, and ends before its next change; "
            f"see 'python -m loraserve release show {self._stage}', and run this again if it is still wanted"
        )


@contextmanager
def locked_stage(
    documents: Documents,
    stage: str,
    kind: DeploymentKind,
    *,
    release: str | None,
    run: str = "",
    lease: Lease | None = None,
) -> Iterator[HeldLock]:
    """Hold the stage's lock for the length of the block; raises `StageLocked`.

    `run` is the URL of a pipeline's run, which takes over its own lock when it is started again.
    """
    lease = lease or Lease()
    held = acquire(documents, stage, kind, release=release, run=run, lease=lease)
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(lease.renewal_seconds):
            try:
                held.confirm()
            except UserError:
                return  # the run's next confirmation raises it
            except (BotoCoreError, ClientError):
                continue  # an outage: the next renewal may succeed, and nothing is changed unconfirmed

    thread = threading.Thread(target=renew, name=f"lock of {stage}", daemon=True)
    thread.start()
    try:
        yield held
    finally:
        ended.set()
        thread.join()
        with suppress(BotoCoreError, ClientError):  # it expires; the block's own error is the one to see
            held.release()


def acquire(
    documents: Documents,
    stage: str,
    kind: DeploymentKind,
    *,
    release: str | None,
    run: str = "",
    lease: Lease | None = None,
) -> HeldLock:
    """Acquire the stage's lock without its renewal; see `locked_stage`."""
    seen = documents.get(LOCK_KEY)
    holder = LockHolder(
        kind=kind, release=release, run=run, user=_user(), host=socket.gethostname(), machine=_machine(),
        pid=os.getpid(), started=seen.answered, lease_seconds=(lease or Lease()).seconds,
        token=uuid.uuid4().hex,
    )  # fmt: skip
    lock = read_lock(seen)
    if lock is not None and not _is_free(lock, holder):
        raise _taken(stage, lock)
    body = to_json(holder)
    stored = documents.put(LOCK_KEY, body, seen)
    if stored.body != body:
        winner = read_lock(stored)
        if winner is None:
            raise StageLocked(
                f"stage {stage!r}: another run had the lock at the same time and has ended; run this again"
            )
        raise _taken(stage, winner)
    return HeldLock(documents, holder, stage, stored)


def read_lock(stored: StoredDocument) -> StageLock | None:
    """Parse the lock, None if there is none; raises `StageLocked` for one that this version cannot read."""
    if stored.body is None:
        return None
    try:
        holder = LockHolder.model_validate_json(stored.body)
    except ValidationError as error:
        raise StageLocked(
            f"{LOCK_KEY} is of another version of this program: wait for the end of its run, or remove the "
            "lock with 'python -m loraserve release unlock STAGE'"
        ) from error
    expires = stored.modified + timedelta(seconds=holder.lease_seconds)
    return StageLock(holder, expires, is_expired=stored.answered >= expires)


def _is_free(lock: StageLock, by: LockHolder) -> bool:
    """Return whether a lock may be taken over: by a run `by` of this process."""
    holder = lock.holder
    if lock.is_expired:
        return True
    if holder.machine == by.machine:
        return not _is_alive(holder.pid)
    return bool(by.run) and holder.run == by.run


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # a process of another user
    return True


def _machine() -> str:
    """Identify where a PID means the same process.

    Containers have PID namespaces, and some share the name of their host; a new boot assigns PIDs again.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return f"{socket.gethostname()} {uuid.getnode():x}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as in some containers
        return str(os.getuid())


def user_and_host() -> str:
    """Return user and host, the `run` of the record of a deployment without a pipeline."""
    return f"{_user()}@{socket.gethostname()}"


def _taken(stage: str, lock: StageLock) -> StageLocked:
    return StageLocked(
        f"stage {stage!r} is held by {lock.holder.description}: wait for its end. If that run is gone, its "
        f"lock expires at {lock.expires.astimezone(UTC):%H:%M:%S} UTC; 'python -m loraserve release unlock "
        f"{stage}' removes it at once"
    )
