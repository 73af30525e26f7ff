"""A seeder that is killed repeatedly, at any point, has the result of an undisturbed one."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from adapters.store.layout import ADAPTER_FILES, RegistryEntry
from laptop_cloud.cloud import LaptopCloud
from tests.harness import factories
from tests.harness.sample_adapters import digest_of
from tests.harness.store import MADE_RULES, Store
from tests.hub.repository import Faults
from tests.hub.server import HubServer

KILLS = 20
#: Three manifests of 20 adapters: from each to the next some are new, some changed, some gone.
ROUNDS = [{f"made-{n:02d}": n for n in range(20)}]
ROUNDS.append({f"made-{n:02d}": n + (100 if n % 3 == 0 else 0) for n in range(4, 24)})
ROUNDS.append({f"made-{n:02d}": n + (200 if n % 4 == 0 else 0) for n in range(8, 28)})


class Seeder:
    """Starts seedings as processes."""

    def __init__(self, cloud: LaptopCloud) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.local.seeding_process"],
            env=cloud.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, work: dict[str, Any]) -> int:
        """Start one; its process id."""
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps(work) + "\n")
        self._parent.stdin.flush()
        return self._answer()

    def wait(self) -> int:
        """Wait for the one that was started; its exit status, negative for a signal."""
        return self._answer()

    def close(self) -> None:
        self._parent.communicate()

    def _answer(self) -> int:
        assert self._parent.stdout is not None
        return int(self._parent.stdout.readline())


@pytest.fixture
def seeder(laptop: LaptopCloud) -> Iterator[Seeder]:
    process = Seeder(laptop)
    yield process
    process.close()


@contextmanager
def watched(store: Store, revisions: dict[str, str]) -> Iterator[list[str]]:
    """Poll the registry, and collect every state that must never be visible.

    `revisions` are those of the manifest that is being seeded, by name: once one of them is published, all
    of them must be in the bucket.
    """
    wrong: list[str] = []
    done = threading.Event()
    #: By name and ETag: an entry is read once, so that the polling does not delay the seeder.
    read: dict[tuple[str, str], RegistryEntry] = {}

    def registered() -> Iterator[RegistryEntry]:
        for name, etag in store.registry.etags().items():
            if (name, etag) in read:
                yield read[name, etag]
            elif (seen := store.registry.get(name)) is not None:
                yield read.setdefault((name, seen.etag), seen.entry)

    def look() -> None:
        while not done.wait(0.02):
            entries = list(registered())
            listed = store.s3.get_paginator("list_objects_v2").paginate(
                Bucket=store.bucket, Prefix="adapters/"
            )
            keys = {item["Key"] for page in listed for item in page.get("Contents", [])}
            wrong.extend(
                f"{entry.name} is published without {file}"
                for entry in entries
                for file in ADAPTER_FILES
                if entry.prefix + file not in keys
            )
            if any(revisions.get(entry.name) == entry.revision for entry in entries if is_new(entry.name)):
                wrong.extend(
                    f"{name} is not there yet, but another of its manifest is published"
                    for name, revision in revisions.items()
                    if f"adapters/{name}/{revision}/adapter_config.json" not in keys
                )

    before = {name: seen.entry.revision for name in store.names() if (seen := store.registry.get(name))}

    def is_new(name: str) -> bool:
        return before.get(name) != revisions.get(name)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield wrong
    finally:
        done.set()
        thread.join()


def content(store: Store) -> dict[str, bytes]:
    """Return every object that a reader of the store sees."""
    return store.objects("adapters/") | store.objects("registry/")


def files(seed: int) -> dict[str, bytes]:
    """Most adapters are small; one of each manifest, and later another, is uploaded in three parts."""
    return factories.adapter(seed, mebibytes=72 if seed % 100 == 12 else 0.125)


def test_killed_twenty_times_it_ends_where_an_undisturbed_run_does(
    laptop: LaptopCloud, seeder: Seeder
) -> None:
    rng = random.Random(2024)
    s3 = laptop.client("s3")
    disturbed, undisturbed = Store(s3, rules=MADE_RULES), Store(s3, rules=MADE_RULES)
    kills = 0
    with HubServer() as hub:
        sources = {
            seed: f"hf://acme/made-{seed}@{hub.add(f'acme/made-{seed}', dict(files(seed)))}"
            for seed in {seed for adapters in ROUNDS for seed in adapters.values()}
        }
        hub.faults = Faults(latency_seconds=0.005)
        rounds = [{name: sources[seed] for name, seed in adapters.items()} for adapters in ROUNDS]
        for number, adapters in enumerate(rounds):
            work = {"hub": hub.endpoint, "adapters": adapters}
            started = time.monotonic()
            seeder.start(work | {"bucket": undisturbed.bucket})
            assert seeder.wait() == 0
            seconds = time.monotonic() - started
            revisions = {name: digest_of(files(seed))[:16] for name, seed in ROUNDS[number].items()}
            killed_here = 0
            with watched(disturbed, revisions) as wrong:
                while True:
                    process = seeder.start(work | {"bucket": disturbed.bucket})
                    # Each round gets its share of the kills, and continues until it has finished.
                    if kills < KILLS * (number + 1) // len(rounds):
                        time.sleep(rng.uniform(0, seconds))
                        with suppress(ProcessLookupError):
                            os.kill(process, signal.SIGKILL)
                    status = seeder.wait()
                    if status == -signal.SIGKILL:
                        kills += 1
                        killed_here += 1
                    elif kills >= KILLS * (number + 1) // len(rounds):
                        assert status == 0
                        break
            assert not wrong, wrong[:5]
            assert content(disturbed) == content(undisturbed), f"after {killed_here} kills in round {number}"
            disturbed.check()
    assert kills >= KILLS
    assert not s3.list_multipart_uploads(Bucket=disturbed.bucket).get("Uploads")


def test_two_seeders_of_one_event_at_once_do_no_harm(laptop: LaptopCloud) -> None:
    """Lambda may run a retried event while the first try still runs."""
    s3 = laptop.client("s3")
    store, alone = Store(s3, rules=MADE_RULES), Store(s3, rules=MADE_RULES)
    with HubServer() as hub:
        adapters = {
            f"made-{n}": f"hf://acme/m{n}@{hub.add(f'acme/m{n}', dict(files(n)))}" for n in range(8, 16)
        }
        seeders = [Seeder(laptop) for _ in range(3)]
        for process in seeders:
            process.start({"hub": hub.endpoint, "adapters": adapters, "bucket": store.bucket})
        assert [process.wait() for process in seeders] == [0, 0, 0]
        for process in seeders:
            process.close()
        seeder = Seeder(laptop)
        seeder.start({"hub": hub.endpoint, "adapters": adapters, "bucket": alone.bucket})
        assert seeder.wait() == 0
        seeder.close()
    store.check()
    assert content(store) == content(alone)
