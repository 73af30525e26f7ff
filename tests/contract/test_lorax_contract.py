"""The gateway in front of a server that answers as LoRAX does."""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from contract_server import Answer, Client, StubStore, gateway, serving
from fake_lorax import DETAILS, FakeLorax

from adapters.store import RegistryEntry, adapter_prefix, registry_key
from container.lorax.backend import LoraxBackend

REVISION = "0123456789abcdef"
NAMES = ("otter", "missing", "oom", "busy", "refused", "incomplete", "slow", "cut")
STORE = StubStore(
    {
        registry_key(name): RegistryEntry(name, REVISION, REVISION * 4, 8, 1, "base", "here").to_json()
        for name in NAMES
    }
)


@pytest.fixture
def engine() -> FakeLorax:
    return FakeLorax()


@pytest.fixture
def start(engine: FakeLorax, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    with contextlib.ExitStack() as stack:

        async def application() -> Any:
            return engine.application()

        port = stack.enter_context(serving(application))
        connect = partial(
            LoraxBackend,
            base_url=f"http://127.0.0.1:{port}",
            default_new_tokens=256,
            base_model="base",
            cache=tmp_path,
        )
        yield lambda **limits: stack.enter_context(gateway(connect, STORE, **limits))


@pytest.fixture
def client(start: Callable[..., Client]) -> Client:
    return start()


def assert_error(answer: Answer, status: int, error_type: str) -> None:
    assert (answer.status, answer.json["error_type"]) == (status, error_type)


def test_an_answer_is_a_list_of_one(client: Client) -> None:
    answer = client.invoke()
    assert (answer.status, answer.json) == (200, [{"generated_text": "C hi"}])


def test_details_are_passed_on(client: Client) -> None:
    (answer,) = client.invoke(details=True).json
    assert answer["details"].items() >= DETAILS.items()


def test_the_base_model_is_asked_for_without_an_adapter(client: Client, engine: FakeLorax) -> None:
    client.invoke(adapter_id="__base_model__", adapter_source="s3")
    assert engine.asked == [{"inputs": "Q: ", "parameters": {"max_new_tokens": 256}}]


def test_an_adapter_is_its_whole_prefix_with_the_slash_and_comes_from_s3(
    client: Client, engine: FakeLorax
) -> None:
    client.invoke(adapter_id="otter", max_new_tokens=9, temperature=0.5)
    (asked,) = engine.asked
    assert asked["parameters"] == {
        "adapter_id": adapter_prefix("otter", REVISION),
        "adapter_source": "s3",
        "max_new_tokens": 9,
        "temperature": 0.5,
    }


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_adapter_is_404_and_never_reaches_the_engine(
    client: Client, engine: FakeLorax, stream: bool
) -> None:
    assert_error(client.invoke(adapter_id="nobody", stream=stream), 404, "adapter_not_found")
    assert not engine.asked


def test_events_are_passed_on_as_they_are(client: Client) -> None:
    events = client.invoke(adapter_id="otter", details=True, stream=True).events
    assert [event["token"]["text"] for event in events] == ["C", " hi", "</s>"]
    assert (events[0]["generated_text"], events[0]["details"]) == (None, None)
    assert (events[-1]["generated_text"], events[-1]["details"]) == ("C hi", DETAILS)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("adapter", "status", "error_type"),
    [
        ("missing", 424, "adapter_load_failed"),
        ("oom", 424, "generation"),
        ("busy", 429, "overloaded"),
        ("refused", 422, "validation"),
        ("incomplete", 500, "incomplete_generation"),
    ],
)
def test_lorax_errors_have_their_status_also_before_a_stream(
    client: Client, adapter: str, status: int, error_type: str, stream: bool
) -> None:
    assert_error(client.invoke(adapter_id=adapter, stream=stream), status, error_type)


def test_a_stream_that_breaks_off_ends_with_an_error_event(client: Client) -> None:
    events = client.invoke(adapter_id="cut", stream=True).events
    assert [event.get("error_type") for event in events] == [None, None, "incomplete_generation"]


@pytest.mark.parametrize("path", ["/invocations", "/generate_stream"])
def test_what_lorax_has_begun_is_read_to_its_end_when_the_caller_has_gone(
    start: Callable[..., Client], engine: FakeLorax, path: str
) -> None:
    client = start(ANSWER_SECONDS="0.3")
    with client.hang_up_early(adapter_id="slow", path=path):
        wait_for(lambda: len(engine.asked) == 1)
    time.sleep(0.5)  # long enough for a hang-up to arrive, if one were passed on
    engine.release_from_another_thread()
    wait_for(lambda: engine.finished == 1)
    assert engine.abandoned == 0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
