"""Metrics of an instance during faults; alarms and the dashboard use them.

test_defences.py has the counts of removals from the disk.
"""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.store.layout import RegistryEntry, registry_key
from tests.contract.faulty_container import FaultyContainer, container
from tests.contract.faulty_s3 import Fault, FaultyS3
from tests.contract.faulty_vllm import ENDLESS, HEALTHY_AFTER, HEAVY
from tests.harness.waiting import wait_until

#: Seconds between two lines, and the age of a registry entry that is asked for again.
METRICS_SECONDS = CACHE_SECONDS = 0.2
#: Adapters of which the engine behaves as their names say; see fake_vllm.py.
NAMES = ("otter", "silent-base", "missing", "broken", "breaking", "failing", f"{HEAVY}-1", f"{HEAVY}-2")
LIMITS = {
    "METRICS_SECONDS": METRICS_SECONDS,
    "REGISTRY_CACHE_SECONDS": CACHE_SECONDS,
    "MAX_CONCURRENT_REQUESTS": 2,
    "MAX_QUEUED_REQUESTS": 1,
    "MAX_COLD_LOADS": 1,
    # The container itself requests no token, which would take an engine slot.
    "ENGINE_IDLE_SECONDS": 300,
    "ENGINE_SILENCE_SECONDS": 600,
}
#: What counts up when something is wrong.
COUNTS = (
    "RequestsRefused", "ServerErrors", "WrongAdapters", "AdapterLoadFailures", "AdapterEvictions",
    "RegistryStaleAnswers", "RegistryErrors",
)  # fmt: skip


@pytest.fixture(scope="module")
def store() -> FaultyS3:
    entries = {
        registry_key(name): RegistryEntry(name, "0" * 16, "0" * 64, 8, 1, "tiny-mistral", "here").to_json()
        for name in NAMES
    }
    return FaultyS3(entries)


@pytest.fixture(scope="module")
def shared(store: FaultyS3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyContainer]:
    with store.serving() as url, container(tmp_path_factory.mktemp("container"), LIMITS, s3=url) as started:
        started.wait_until_ready()
        yield started


class Emitted:
    """The metrics that a container emits from now on."""

    def __init__(self, running: FaultyContainer) -> None:
        self._running = running
        # Earlier events are counted in the next line at the latest.
        seen = len(running.states)
        wait_until(lambda: len(running.states) > seen + 1, "a line for each interval")
        self._begin = len(running.states)

    @property
    def states(self) -> list[dict[str, Any]]:
        return self._running.states[self._begin :]

    def counts(self) -> dict[str, int]:
        """Return all counts, once another two lines have been emitted."""
        seen = len(self.states)
        wait_until(lambda: len(self.states) > seen + 1, "a line for each interval")
        sums = {name: sum(state[name] for state in self.states) for name in COUNTS}
        return {name: found for name, found in sums.items() if found}

    def highest(self, name: str) -> int:
        return max(int(state[name]) for state in self.states)


@pytest.fixture
def emitted(shared: FaultyContainer) -> Emitted:
    shared.wait_until_empty()
    return Emitted(shared)


def test_a_line_comes_for_each_interval_without_requests(emitted: Emitted) -> None:
    wait_until(lambda: len(emitted.states) >= 3, "lines without requests")
    for state in emitted.states:
        assert (state["Instances"], state["EngineReady"]) == (1, 1)
        assert state["DiskFreeBytes"] > 0
    assert emitted.counts() == {}


def test_engine_is_not_ready_while_it_starts_and_while_it_is_silent(tmp_path: Path) -> None:
    times = LIMITS | {HEALTHY_AFTER: 1, "ENGINE_IDLE_SECONDS": 0.2, "ENGINE_SILENCE_SECONDS": 0.8}
    with container(tmp_path, times) as running:
        wait_until(lambda: running.states, "a line while the engine starts")
        assert running.states[0]["EngineReady"] == 0
        running.wait_until_ready()
        wait_until(lambda: running.states[-1]["EngineReady"] == 1, "the engine is ready")
        os.kill(running.engine_pid, signal.SIGSTOP)
        wait_until(lambda: running.states[-1]["EngineReady"] == 0, "the engine is silent")
        os.kill(running.engine_pid, signal.SIGCONT)
        wait_until(lambda: running.states[-1]["EngineReady"] == 1, "the engine is back")
        assert {state["Instances"] for state in running.states} == {1}


def test_a_queue_that_fills_and_what_it_refuses_are_counted(
    shared: FaultyContainer, emitted: Emitted
) -> None:
    with ThreadPoolExecutor() as callers:
        with (
            shared.client.hanging_up(ENDLESS, path="/generate"),
            shared.client.hanging_up(ENDLESS, path="/generate_stream"),
        ):
            shared.wait_until_running(2)
            queued = callers.submit(shared.client.generate)
            wait_until(lambda: shared.inside() == 3, "the third waits for an engine slot")
            for path in ("/generate", "/generate_stream"):
                assert shared.client.generate(path=path).error[:2] == (429, "overloaded")
            assert emitted.counts() == {"RequestsRefused": 2}
            assert (emitted.states[-1]["RequestsInside"], emitted.states[-1]["RequestsWaiting"]) == (2, 1)
            assert (gauge(shared, "requests_at_engine"), gauge(shared, "requests_waiting")) == (2, 1)
        assert queued.result().status == 200
    shared.wait_until_empty()
    later = Emitted(shared)
    assert later.counts() == {}
    assert (later.highest("RequestsInside"), later.highest("RequestsWaiting")) == (0, 0)


def test_loads_that_wait_for_others_are_counted(shared: FaultyContainer, emitted: Emitted) -> None:
    with ThreadPoolExecutor() as callers:
        names = (f"{HEAVY}-1", f"{HEAVY}-2")
        loads = [callers.submit(shared.client.generate, "hi", adapter_id=name) for name in names]
        assert [load.result().status for load in loads] == [200, 200]
    assert emitted.counts() == {}
    assert emitted.highest("AdapterLoadsWaiting") == 1
    assert emitted.highest("RequestsWaiting") == 0, "they waited for an adapter, not for the engine"
    assert emitted.states[-1]["AdapterLoadsWaiting"] == 0


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.FORBIDDEN], ids=lambda fault: fault.name)
def test_answers_while_the_store_is_unreachable_are_emitted(
    shared: FaultyContainer, store: FaultyS3, emitted: Emitted, fault: Fault
) -> None:
    assert shared.client.generate(adapter_id="otter").status == 200
    assert emitted.counts() == {}
    time.sleep(1.5 * CACHE_SECONDS)
    with store.broken(fault):
        assert [shared.client.generate(adapter_id="otter").status for _ in range(3)] == [200, 200, 200]
        assert shared.client.generate(adapter_id="cold").error[:2] == (503, "registry_unavailable")
    counts = emitted.counts()
    # The known one was asked for once or more, as it gets older; the cold one once.
    assert counts.pop("RegistryErrors") >= 2
    assert counts == {"RegistryStaleAnswers": 3, "ServerErrors": 1}
    assert gauge(shared, "registry_stale_answers_total") >= 3
    later = Emitted(shared)
    assert shared.client.generate(adapter_id="otter").status == 200
    assert later.counts() == {}


def test_an_answer_of_the_wrong_model_is_counted(shared: FaultyContainer, emitted: Emitted) -> None:
    answer = shared.client.generate(adapter_id="silent-base")
    assert answer.error[:2] == (500, "wrong_adapter")
    # It is found out when the adapter is loaded, before it is asked what the caller asked.
    assert emitted.counts() == {"WrongAdapters": 1, "ServerErrors": 1, "AdapterLoadFailures": 1}
    assert gauge(shared, "wrong_adapters_total") == 1
    [line] = [line for line in shared.metrics if line.get("Adapter") == "silent-base"]
    assert line["Errors.wrong_adapter"] == 1


@pytest.mark.parametrize(
    ("adapter", "status", "counts"),
    [
        ("missing", 424, {"AdapterLoadFailures": 1}),
        ("failing", 500, {"AdapterLoadFailures": 1, "ServerErrors": 1}),
        ("broken", 409, {}),
        ("nobody", 404, {}),
        ("Not A Name", 422, {}),
    ],
)
def test_a_load_that_fails_is_emitted_if_it_is_no_fault_of_the_callers(
    shared: FaultyContainer, emitted: Emitted, adapter: str, status: int, counts: dict[str, int]
) -> None:
    assert shared.client.generate(adapter_id=adapter).status == status
    assert emitted.counts() == counts


def test_an_error_in_a_stream_that_has_begun_is_a_server_error(
    shared: FaultyContainer, emitted: Emitted
) -> None:
    answer = shared.client.generate("hi", adapter_id="breaking", path="/generate_stream")
    assert answer.error[:2] == (200, "generation")
    assert emitted.counts() == {"ServerErrors": 1}


def test_the_last_events_are_emitted_at_the_end_and_the_instance_does_not_count_any_more(
    tmp_path: Path,
) -> None:
    with container(tmp_path, LIMITS | {"METRICS_SECONDS": 600}) as running:
        running.wait_until_ready()
        assert running.client.generate(adapter_id="otter").error[:2] == (503, "registry_unavailable")
        running.process.terminate()
        assert running.exit_code() == 0, running.log
        [state] = running.states
        assert state["ServerErrors"] == 1
        assert state["RegistryErrors"] >= 1  # the watch of the registry reads it, too
        assert not {"Instances", "EngineReady"} & set(state)


def gauge(running: FaultyContainer, name: str) -> float:
    """Return the metrics of the Prometheus endpoint."""
    text = running.client.get("/metrics").body.decode()
    [value] = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"lora_{name}"
    ]
    return value
