"""A store that is down, slow or answers nonsense: cached adapters are served, others get an error."""

import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.store.layout import RegistryEntry, registry_key
from tests.contract.faulty_container import FaultyContainer, container
from tests.contract.faulty_s3 import Fault, FaultyS3

REVISION = "0123456789abcdef"
CACHE_SECONDS = 0.2
#: Seconds for which a caller waits where an older answer is at hand, and where none is, and by how much a busy
#: machine may be late.
PATIENCE_SECONDS, STORE_SECONDS, NOISE_SECONDS = 1, 8, 6
FAULTS = [fault for fault in Fault if fault is not Fault.NONE]
#: Of these there is no doubt that it is the store's. A page of HTML looks like an entry that is damaged.
OF_THE_STORE = [fault for fault in FAULTS if fault is not Fault.HTML]
#: Each test its own names: of these nothing is known yet.
COLD = (f"cold-{number}" for number in itertools.count())


def entry(name: str, **changes: object) -> bytes:
    known = RegistryEntry(name, REVISION, REVISION * 4, 8, 1, "tiny-mistral", "here")
    return json.dumps(vars(known) | changes).encode()


@pytest.fixture(scope="module")
def store() -> FaultyS3:
    return FaultyS3({})


@pytest.fixture(scope="module")
def running(store: FaultyS3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyContainer]:
    folder = tmp_path_factory.mktemp("container")
    with (
        store.serving() as url,
        container(folder, {"REGISTRY_CACHE_SECONDS": CACHE_SECONDS}, s3=url) as started,
    ):
        started.wait_until_ready()
        yield started


@pytest.fixture
def cold(store: FaultyS3) -> str:
    """A published adapter that has never been requested."""
    name = next(COLD)
    store.objects[registry_key(name)] = entry(name)
    return name


@pytest.fixture
def warm(running: FaultyContainer, cold: str) -> str:
    """A published adapter that has been requested some time ago."""
    assert running.client.generate(adapter_id=cold).status == 200
    time.sleep(1.5 * CACHE_SECONDS)
    return cold


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_an_adapter_that_is_known_is_served_while_store_is_broken(
    running: FaultyContainer, store: FaultyS3, warm: str, fault: Fault
) -> None:
    with store.broken(fault):
        answers = [running.client.generate(adapter_id=warm) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 200], answers[0].body
    assert sum(answer.seconds for answer in answers) < 3 * PATIENCE_SECONDS + NOISE_SECONDS


@pytest.mark.parametrize("fault", OF_THE_STORE, ids=lambda fault: fault.name)
def test_an_adapter_of_which_nothing_is_known_is_503_until_store_is_back(
    running: FaultyContainer, store: FaultyS3, cold: str, fault: Fault
) -> None:
    with store.broken(fault):
        answer = running.client.generate(adapter_id=cold)
        assert answer.error[:2] == (503, "registry_unavailable")
        assert "retry-after" in answer.headers
        assert answer.seconds < STORE_SECONDS + NOISE_SECONDS
    assert running.client.generate(adapter_id=cold).status == 200


def test_an_answer_that_is_not_s3s_is_503_until_store_is_right_again(
    running: FaultyContainer, store: FaultyS3, cold: str
) -> None:
    with store.broken(Fault.HTML):
        assert running.client.generate(adapter_id=cold).error[:2] == (503, "registry_unavailable")
    assert running.client.generate(adapter_id=cold).status == 200


def test_a_name_that_was_unknown_waits_for_a_slow_store_as_long_as_a_new_one(
    running: FaultyContainer, store: FaultyS3
) -> None:
    name = next(COLD)
    assert running.client.generate(adapter_id=name).error[:2] == (404, "adapter_not_found")
    time.sleep(1.5 * CACHE_SECONDS)
    with store.slow(PATIENCE_SECONDS + 0.5):
        assert running.client.generate(adapter_id=name).error[:2] == (404, "adapter_not_found")


def test_a_store_that_hangs_does_not_hold_up_base_model_nor_ping(
    running: FaultyContainer, store: FaultyS3
) -> None:
    with store.broken(Fault.HANGING), ThreadPoolExecutor(20) as callers:
        waiting = [callers.submit(running.client.generate, adapter_id=next(COLD)) for _ in range(20)]
        time.sleep(0.2)
        running.pings(20).assert_prompt()
        assert running.client.generate().seconds < NOISE_SECONDS
        store.fault = Fault.NONE
        for call in waiting:
            assert call.result().error[:2] in {(404, "adapter_not_found"), (503, "registry_unavailable")}
    running.wait_until_empty()


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.FORBIDDEN, Fault.HTML], ids=lambda fault: fault.name)
def test_there_is_no_list_of_models_without_the_store(
    running: FaultyContainer, store: FaultyS3, fault: Fault
) -> None:
    time.sleep(1.5 * CACHE_SECONDS)
    with store.broken(fault):
        assert running.client.get("/v1/models").error[:2] == (503, "registry_unavailable")
    assert running.client.get("/v1/models").status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"name": "x"}',
        entry("x")[:-20],
        entry("x", revision="../../etc"),
        entry("x", revision=None),
        entry("x", size="many"),
        entry("x", size=float("inf")),
        entry("x", rank={}),
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"size": ' + b"9" * 5000 + b"}",
        b" " * 2_000_000 + entry("x"),
    ],
    ids=lambda body: f"{body[:20]!r}… {len(body)} bytes",
)
def test_a_damaged_entry_is_reported_by_its_name_and_the_others_are_served(
    running: FaultyContainer, store: FaultyS3, cold: str, body: bytes
) -> None:
    damaged = next(COLD)
    store.objects[registry_key(damaged)] = body
    answer = running.client.generate(adapter_id=damaged)
    assert answer.error[:2] == (500, "registry_entry_invalid")
    assert damaged in answer.error[2]
    assert running.client.generate(adapter_id=cold).status == 200
    del store.objects[registry_key(damaged)]
