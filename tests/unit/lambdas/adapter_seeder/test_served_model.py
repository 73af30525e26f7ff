"""The base model is read at most once, by whichever thread asks first."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from adapters.files import BytesFile
from adapters.validation.base_model import InvalidBaseModel
from ingest.hub import HubUnavailable
from ingest.model_files import ModelFiles
from lambdas.adapter_seeder.served_model import ServedModel
from lambdas.adapter_seeder.thread_pool import BadAdapters, ThreadPool
from tests.harness import factories

THREADS = 16


class Calls:
    """Counts calls; each takes long enough for the other threads to ask meanwhile."""

    def __init__(self, answer: Callable[[], ModelFiles]) -> None:
        self.count = 0
        self.started = threading.Barrier(THREADS)
        self._answer = answer

    def __call__(self) -> ModelFiles:
        self.count += 1
        time.sleep(0.05)
        return self._answer()


def at_once(calls: Calls, work: Callable[[], Any]) -> Sequence[Any]:
    """The results, or errors, of the work in threads that begin together."""

    def one(_: int) -> Any:
        calls.started.wait(10)
        try:
            return work()
        except Exception as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


def test_threads_that_ask_at_the_same_time_share_one_reading() -> None:
    calls = Calls(lambda: factories.base_model(layers=4))
    served = ServedModel(calls, revision="0" * 40)
    facts = at_once(calls, served.facts)
    assert calls.count == 1
    assert all(found is facts[0] for found in facts)
    assert len(facts[0].layers) == 4
    assert at_once(calls, served.files) == [served.files()] * THREADS
    assert calls.count == 1


def test_a_model_that_cannot_be_read_is_asked_for_once() -> None:
    calls = Calls(factories.no_base_model)
    served = ServedModel(calls, revision="0" * 40, mirror_prefix="models/m/")
    for work in (served.files, served.facts):
        assert {type(error) for error in at_once(calls, work)} == {InvalidBaseModel}
    assert calls.count == 1


def pool() -> ThreadPool:
    return ThreadPool(2, has_time=lambda: True, tick=lambda: None, tick_seconds=1)


def test_a_model_that_cannot_be_fetched_is_reported_as_bad_adapters_are() -> None:
    served = ServedModel(factories.no_base_model, revision="0" * 40)
    with pool() as threads, pytest.raises(BadAdapters) as bad:
        served.read(threads)
    assert [str(error) for error in bad.value.errors] == [
        "base model 'acme/wide': the repository is gated; ask for access"
    ]


def test_a_hub_that_cannot_be_asked_is_no_property_of_the_model() -> None:
    def find() -> ModelFiles:
        raise HubUnavailable("hf://acme/wide", "no connection to the Hub", "check the network")

    served = ServedModel(find, revision="0" * 40)
    with pool() as threads, pytest.raises(HubUnavailable):
        served.read(threads)


def test_a_damaged_model_is_an_error_for_each_caller() -> None:
    calls = Calls(lambda: ModelFiles(factories.BASE, {"config.json": BytesFile(b"[]")}, {}))
    served = ServedModel(calls, revision="0" * 40)
    assert {type(error) for error in at_once(calls, served.facts)} == {InvalidBaseModel}
    assert calls.count == 1


def test_an_outage_is_not_kept_so_that_the_next_caller_tries_again() -> None:
    answers = iter([ConnectionError("reset"), factories.base_model(layers=4)])

    def answer() -> ModelFiles:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    served = ServedModel(answer, revision="0" * 40)
    with pytest.raises(ConnectionError):
        served.facts()
    assert len(served.facts().layers) == 4
