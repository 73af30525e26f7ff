"""The ledger of a stage in the laptop cloud's S3: its lock, records, hold and releases."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from lambdas.adapter_seeder.empty_bucket import empty_bucket
from laptop_cloud.cloud import LaptopCloud
from loraserve.adapters.garbage_collection import collect
from loraserve.adapters.open_store import find_stage
from loraserve.adapters.stage_store import StageStore
from loraserve.release import ledger as ledgers
from loraserve.release.documents import Documents
from loraserve.release.ledger import CURRENT_KEY, RECORDS_PREFIX, Ledger, LedgerError
from loraserve.release.lock import LOCK_KEY, HeldLock, Lease, LockLost, StageLocked, acquire, read_lock
from loraserve.release.record import DeploymentKind, Outcome
from loraserve.release.release import ARCHIVE_FILE, RELEASE_FILE, Release, ReleaseError, to_json
from tests.harness.ledger import new_ledger, record

PROMOTION, ROLLBACK = DeploymentKind.PROMOTION, DeploymentKind.ROLLBACK
#: A process that acquires the lock, says so, and runs until its standard input ends.
HOLDER = """
import sys
import boto3
from loraserve.release.ledger import Ledger
from loraserve.release.lock import StageLocked
from loraserve.release.record import DeploymentKind
try:
    with Ledger(boto3.client("s3"), sys.argv[1], "prod").lock(DeploymentKind.PROMOTION, release="r1"):
        print("held", flush=True)
        sys.stdin.read()
except StageLocked as error:
    print(error, flush=True)
"""


@pytest.fixture
def ledger(laptop_client: Callable[[str], Any]) -> Ledger:
    """A ledger in a new bucket."""
    return new_ledger(laptop_client("s3"))


@pytest.fixture
def start(laptop: LaptopCloud, ledger: Ledger) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Start a `HOLDER` of the ledger's lock."""
    started: list[subprocess.Popen[str]] = []

    def holder() -> "subprocess.Popen[str]":
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", HOLDER, ledger.bucket],
                env=laptop.environment | {"PATH": os.environ["PATH"]},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield holder
    for process in started:
        process.kill()
        process.communicate()


# The lock


def test_of_two_runs_the_second_is_refused_with_the_first_ones_name(ledger: Ledger) -> None:
    with ledger.lock(PROMOTION, release="2026-11-27-1a2b3c4", run="https://ci.example/run/1") as held:
        lock = ledger.locked_by()
        assert lock is not None
        assert lock.holder.started == held.started
        with pytest.raises(StageLocked) as refused, ledger.lock(ROLLBACK, release="2026-11-26-0000000"):
            pass
    message = str(refused.value)
    assert "the promotion of 2026-11-27-1a2b3c4 since" in message
    assert "https://ci.example/run/1" in message
    assert "release unlock prod" in message
    assert ledger.locked_by() is None


def test_of_processes_that_start_at_once_one_holds_the_stage(
    start: Callable[[], "subprocess.Popen[str]"],
) -> None:
    processes = [start() for _ in range(3)]
    said = [process.stdout.readline() for process in processes if process.stdout]
    assert sorted(line.startswith("held") for line in said) == [False, False, True], said
    assert all("is held by the promotion of r1" in line for line in said if not line.startswith("held"))


def test_of_threads_that_start_at_once_one_holds_the_stage(ledger: Ledger) -> None:
    together, results = threading.Barrier(8), []

    def run(number: int) -> None:
        together.wait()
        with suppress(StageLocked):
            results.append(acquire(ledger._documents, "prod", PROMOTION, release=str(number)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    assert len(results) == 1
    results[0].confirm()


def test_a_killed_holder_of_this_machine_does_not_delay_the_next_run(
    ledger: Ledger, start: Callable[[], "subprocess.Popen[str]"]
) -> None:
    process = start()
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(StageLocked), ledger.lock(PROMOTION, release="r1"):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with ledger.lock(PROMOTION, release="r1") as held:
        held.confirm()


def elsewhere(ledger: Ledger, *, run: str = "", seconds: float = 120) -> None:
    """Acquire the lock as a process of another machine."""
    acquire(ledger._documents, "prod", PROMOTION, release="r1", run=run, lease=Lease(seconds))
    lock = ledger.locked_by()
    assert lock is not None
    other = lock.holder.model_copy(update={"machine": "another boot"})
    ledger.s3.put_object(Bucket=ledger.bucket, Key=LOCK_KEY, Body=to_json(other))


def test_a_lock_of_another_machine_is_free_when_it_expires(ledger: Ledger) -> None:
    elsewhere(ledger, seconds=5)
    with pytest.raises(StageLocked), ledger.lock(PROMOTION, release="r1"):
        pass
    time.sleep(6)
    with ledger.lock(PROMOTION, release="r1"):
        pass


def test_a_run_that_is_started_again_takes_over_its_own_lock(ledger: Ledger) -> None:
    elsewhere(ledger, run="https://ci.example/run/1")
    with pytest.raises(StageLocked), ledger.lock(PROMOTION, release="r1", run="https://ci.example/run/2"):
        pass
    with ledger.lock(PROMOTION, release="r1", run="https://ci.example/run/1"):
        pass


def test_two_runs_by_hand_are_not_the_same_run(ledger: Ledger) -> None:
    elsewhere(ledger, run="")
    with pytest.raises(StageLocked), ledger.lock(PROMOTION, release="r1", run=""):
        pass


def test_a_lock_is_renewed_while_it_is_held(ledger: Ledger) -> None:
    with ledger.lock(PROMOTION, release="r1", lease=Lease(seconds=4, renewal_seconds=0.5)):
        time.sleep(5.5)
        lock = ledger.locked_by()
    assert lock is not None
    assert lock.holder.renewals >= 3
    assert not lock.is_expired


def test_a_run_whose_lock_was_removed_ends_before_its_next_change(ledger: Ledger) -> None:
    with ledger.lock(PROMOTION, release="r1") as held:
        assert ledger.unlock()
        with pytest.raises(LockLost, match="it was removed"):
            held.confirm()
    assert not ledger.unlock()


def test_a_run_whose_lock_was_taken_over_leaves_the_other_ones(ledger: Ledger) -> None:
    with ledger.lock(PROMOTION, release="r1") as held:
        ledger.unlock()
        acquire(ledger._documents, "prod", ROLLBACK, release="r0")
        with pytest.raises(LockLost, match="taken over by the rollback of r0"):
            held.confirm()
    lock = ledger.locked_by()
    assert lock is not None
    assert lock.holder.release == "r0"


def test_a_lock_of_another_version_is_not_taken_over(ledger: Ledger) -> None:
    ledger.s3.put_object(Bucket=ledger.bucket, Key=LOCK_KEY, Body=b'{"schema": 2}')
    with pytest.raises(StageLocked, match="another version"), ledger.lock(PROMOTION, release="r1"):
        pass
    assert ledger.unlock()
    with ledger.lock(PROMOTION, release="r1"):
        pass


class LockMachine(RuleBasedStateMachine):
    """Runs that acquire, confirm, release and remove the lock in any order."""

    s3: Any
    runs = st.integers(0, 2)

    def __init__(self) -> None:
        super().__init__()
        self.documents: Documents = new_ledger(self.s3)._documents
        self.held: dict[int, HeldLock] = {}
        self.holder: int | None = None
        self.is_expired = False

    @rule(run=runs, expires=st.booleans())
    def acquire(self, run: int, expires: bool) -> None:
        lease = Lease(seconds=0 if expires else 120)
        try:
            self.held[run] = acquire(self.documents, "prod", PROMOTION, release=str(run), lease=lease)
        except StageLocked:
            assert self.holder is not None
            assert not self.is_expired
        else:
            assert self.holder is None or self.is_expired
            self.holder, self.is_expired = run, expires

    @rule(run=runs)
    def confirm(self, run: int) -> None:
        if run in self.held:
            try:
                self.held[run].confirm()
            except LockLost:
                assert self.holder != run
            else:
                assert self.holder == run

    @rule(run=runs)
    def release(self, run: int) -> None:
        if run in self.held:
            self.held.pop(run).release()
            if self.holder == run:
                self.holder = None

    @rule()
    def unlock(self) -> None:
        assert Ledger(self.documents.s3, self.documents.bucket, "prod").unlock() is (self.holder is not None)
        self.holder = None

    @invariant()
    def the_stored_lock_is_the_holders(self) -> None:
        lock = read_lock(self.documents.get(LOCK_KEY))
        assert (None if lock is None else lock.holder.release) == (
            None if self.holder is None else str(self.holder)
        )


def test_one_run_holds_the_lock_whatever_the_order_of_requests(
    laptop_client: Callable[[str], Any],
) -> None:
    LockMachine.s3 = laptop_client("s3")
    run_state_machine_as_test(LockMachine, settings=settings(max_examples=12, stateful_step_count=15))


# Records


def test_records_are_kept_in_order_and_the_last_that_serves_is_current(ledger: Ledger) -> None:
    assert ledger.current() is None
    assert ledger.records(10) == []
    written = [
        record("r1", 1),
        record("r2", 2, outcome=Outcome.UNVERIFIED),
        record("r3", 3, outcome=Outcome.FAILED),
    ]
    for each in written:
        ledger.write(each)
        ledger.write(each)  # a retry changes nothing
    assert ledger.current() == written[1]
    assert ledger.records(10) == written[::-1]
    assert ledger.records(2) == written[:0:-1]


def test_the_current_record_never_goes_back(ledger: Ledger) -> None:
    ledger.write(record("r2", 2))
    with pytest.raises(LedgerError, match="its current record is of r2, started 2024-01-02T12:00:02Z"):
        ledger.write(record("r1", 1))
    assert ledger.current() == record("r2", 2)
    assert ledger.records(10) == [record("r2", 2)]
    ledger.write(record("r1", 1, outcome=Outcome.FAILED))
    assert ledger.current() == record("r2", 2)


def test_of_two_runs_that_end_at_once_not_both_become_current_in_silence(ledger: Ledger) -> None:
    together, written = threading.Barrier(6), []

    def run(number: int) -> None:
        together.wait()
        try:
            ledger.write(record(f"r{number}", number))
            written.append(number)
        except LedgerError:
            pass

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(run, range(6)))
    assert ledger.current() == record(f"r{max(written)}", max(written))


def test_a_write_whose_answer_was_lost_is_done(ledger: Ledger) -> None:
    """The first attempt has written both objects, and the client repeats it."""
    documents, body = ledger._documents, to_json(record("r1", 1))
    absent = documents.get(CURRENT_KEY)
    first = documents.put(CURRENT_KEY, body, absent)
    assert documents.put(CURRENT_KEY, body, absent).etag == first.etag


def test_a_record_of_the_same_second_and_release_is_not_overwritten(ledger: Ledger) -> None:
    ledger.write(record("r1", 1))
    with pytest.raises(LedgerError, match="two started in the same second"):
        ledger.write(record("r1", 1, reason="another"))
    assert ledger.records(10) == [record("r1", 1)]


def test_a_damaged_record_is_named(ledger: Ledger) -> None:
    ledger.s3.put_object(Bucket=ledger.bucket, Key=CURRENT_KEY, Body=b"{}")
    with pytest.raises(LedgerError, match=r"releases/current\.json is damaged"):
        ledger.current()


# The hold


def test_a_held_stage_says_why_until_it_is_resumed(ledger: Ledger) -> None:
    assert ledger.hold() is None
    assert ledger.resume() is None
    hold = ledger.set_hold("answers are wrong", "alice@laptop")
    assert ledger.set_hold("answers are wrong", "alice@laptop") == hold == ledger.hold()
    assert ledger.set_hold("worse", "bob@laptop").reason == "worse"
    ended = ledger.resume()
    assert ended is not None
    assert ended.reason == "worse"
    assert ledger.hold() is None


def test_a_lock_that_cannot_be_removed_hides_no_error(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def expired(_: HeldLock) -> None:
        raise ClientError({"Error": {"Code": "ExpiredToken", "Message": "no"}}, "DeleteObject")

    monkeypatch.setattr(HeldLock, "release", expired)
    with pytest.raises(LedgerError, match="the error"), ledger.lock(PROMOTION, release="r1"):
        raise LedgerError("the error")


# Releases


def built(folder: Path, name: str, content: bytes = b"archive") -> tuple[Release, Path]:
    """A release in a folder of its name, which may be shorter than a release's."""
    made = Release.model_construct(
        schema_version=1, release=name, commit="0" * 40, committed="2026-11-27T12:00:00Z", repository=None,
        versions={}, tar_sha256="0" * 64, stages={},
    )  # fmt: skip
    (folder / name).mkdir(parents=True)
    (folder / name / RELEASE_FILE).write_bytes(to_json(made))
    archive = folder / name / ARCHIVE_FILE
    archive.write_bytes(content)
    return made, archive


def test_a_stored_release_is_the_same_bytes(ledger: Ledger, tmp_path: Path) -> None:
    made, archive = built(tmp_path, "2026-11-27-1a2b3c4")
    ledger.upload(made, archive)
    ledger.upload(made, archive)
    found = ledger.download(made.release, tmp_path / "down")
    assert found == tmp_path / "down" / made.release
    for file in (RELEASE_FILE, ARCHIVE_FILE):
        assert (found / file).read_bytes() == archive.with_name(file).read_bytes()


def test_an_interrupted_upload_is_not_a_release_and_is_completed(ledger: Ledger, tmp_path: Path) -> None:
    made, archive = built(tmp_path, "r1")
    ledger.s3.put_object(Bucket=ledger.bucket, Key="releases/r1/release.tar", Body=b"arch")
    assert ledger.stored_releases() == []
    with pytest.raises(ReleaseError, match="does not have release r1, it has none"):
        ledger.download("r1", tmp_path / "down")
    ledger.upload(made, archive)
    assert (ledger.download("r1", tmp_path / "down") / ARCHIVE_FILE).read_bytes() == b"archive"


def test_other_bytes_of_the_same_release_are_refused(ledger: Ledger, tmp_path: Path) -> None:
    made, archive = built(tmp_path, "r1")
    ledger.upload(made, archive)
    archive.with_name(RELEASE_FILE).write_bytes(to_json(made.model_copy(update={"tar_sha256": "1" * 64})))
    with pytest.raises(ReleaseError, match="other bytes"):
        ledger.upload(made, archive)


def test_the_last_deployed_releases_and_the_current_one_are_kept(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "KEPT_RELEASES", 2)
    ledger.upload(*built(tmp_path, "r0"))
    ledger.write(record("r0", 0))
    for number in range(1, 5):
        ledger.upload(*built(tmp_path, f"r{number}"))
        ledger.write(record(f"r{number}", number, outcome=Outcome.FAILED))
        ledger.write(record(None, 10 + number, outcome=Outcome.FAILED, kind=DeploymentKind.BY_HAND))
    assert ledger.stored_releases() == ["r0", "r2", "r3", "r4"]
    assert len(ledger.records(100)) == 9


def test_garbage_collection_leaves_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    ledger.upload(*built(tmp_path, "r1"))
    ledger.write(record("r1"))
    ledger.set_hold("why", "me")
    before = ledger._documents.keys("releases/")
    collect(StageStore(find_stage("dev"), ledger.s3, ledger.bucket), min_age=timedelta(0))
    assert ledger._documents.keys("releases/") == before
    assert len(before) == 5
    assert any(key.startswith(RECORDS_PREFIX) for key in before)


def test_emptying_a_bucket_that_is_not_retained_deletes_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.lock(PROMOTION, release="r1"):
        ledger.upload(*built(tmp_path, "r1"))
        ledger.write(record("r1"))
    empty_bucket(ledger.s3, ledger.bucket, has_time=lambda: True)
    ledger.s3.delete_bucket(Bucket=ledger.bucket)
