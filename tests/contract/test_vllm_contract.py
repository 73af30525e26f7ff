"""The gateway in front of a server that answers as vLLM does."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.store.layout import RegistryEntry, adapter_prefix, registry_key
from container.gateway.engine.readiness import EngineState
from container.vllm.backend import VllmBackend
from tests.contract.contract_server import gateway, serving
from tests.contract.fake_vllm import BASE_MODEL, FakeVllm
from tests.harness.http_client import JSON, Answer, Client
from tests.harness.registry_store import StubStore
from tests.harness.waiting import wait_until

REVISION = "0123456789abcdef"
NAMES = ("otter", "missing", "broken", "failing", "slow", "silent-base", "breaking")
STORE = StubStore(
    {
        registry_key(name): RegistryEntry(name, REVISION, REVISION * 4, 8, 1, BASE_MODEL, "here").to_json()
        for name in NAMES
    }
)


@pytest.fixture
def engine() -> FakeVllm:
    return FakeVllm()


@pytest.fixture
def start(engine: FakeVllm, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    with contextlib.ExitStack() as stack:

        async def application() -> Any:
            return engine.application()

        port = stack.enter_context(serving(application))
        connect = partial(
            VllmBackend,
            base_model=BASE_MODEL,
            max_input_tokens=50,
            default_new_tokens=256,
            cache=tmp_path,
            resident=2,
        )
        yield lambda **limits: stack.enter_context(gateway(port, connect, STORE, **limits))


@pytest.fixture
def client(start: Callable[..., Client]) -> Client:
    return start()


def assert_error(answer: Answer, status: int, error_type: str) -> None:
    assert (answer.status, answer.json["error_type"]) == (status, error_type)
    assert set(answer.json) == {"error", "error_type"}
    assert answer.headers["content-type"].startswith("application/json")


def test_an_answer_is_a_list_of_one(client: Client, engine: FakeVllm) -> None:
    answer = client.invoke()
    assert (answer.status, answer.json) == (200, [{"generated_text": "C hi"}])
    assert engine.asked[0]["model"] == BASE_MODEL


def test_generate_answers_with_the_bare_object(client: Client) -> None:
    assert client.invoke(path="/generate").json == {"generated_text": "C hi"}


def test_the_adapter_is_addressed_by_its_immutable_id(client: Client, engine: FakeVllm) -> None:
    assert client.invoke(adapter_id="otter").status == 200
    assert engine.asked[0]["model"] == adapter_prefix("otter", REVISION)


def test_details_are_in_lorax_shape(client: Client) -> None:
    (answer,) = client.invoke(adapter_id="otter", details=True, return_full_text=True).json
    assert answer["generated_text"] == "Q: C hi"
    details = answer["details"]
    assert details | {"tokens": []} == {
        "finish_reason": "eos_token",
        "prompt_tokens": 3,
        "generated_tokens": 3,
        "skipped_tokens": 0,
        "seed": None,
        "prefill": [],
        "tokens": [],
    }
    assert [(token["id"], token["text"], token["special"]) for token in details["tokens"]] == [
        (37, "C", False), (303, " hi", False), (2, "</s>", True),
    ]  # fmt: skip


def test_a_stream_is_one_event_for_each_token_and_the_text_in_the_last(client: Client) -> None:
    events = client.invoke(adapter_id="otter", details=True, stream=True).only_events
    assert [event["token"]["text"] for event in events] == ["C", " hi", "</s>"]
    assert all(event["generated_text"] is None and event["details"] is None for event in events[:-1])
    assert events[-1]["generated_text"] == "C hi"
    assert events[-1]["details"] == {
        "finish_reason": "eos_token",
        "prompt_tokens": 3,
        "generated_tokens": 3,
        "seed": None,
    }


def test_a_stream_in_the_engines_schema_has_the_clients_name_and_no_other_fields(client: Client) -> None:
    body = {"model": "otter", "prompt": "Q: ", "stream": True, "stream_options": {"include_usage": True}}
    events = client.post("/invocations", body).events
    assert [event["choices"][0]["text"] for event in events] == ["C", " hi", ""]
    assert [event["choices"][0]["finish_reason"] for event in events] == [None, None, "stop"]
    assert {event["model"] for event in events} == {"otter"}
    assert {name for event in events for name in event["choices"][0]} == {
        "index", "text", "logprobs", "finish_reason",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "status", "error_type"),
    [("breaking", 200, "generation"), ("silent-base", 500, "wrong_adapter")],
)
def test_a_stream_in_the_engines_schema_is_checked(
    client: Client, name: str, status: int, error_type: str
) -> None:
    answer = client.post("/invocations", {"model": name, "prompt": "Q: ", "stream": True})
    assert (answer.status, answer.error[1]) == (status, error_type)


def test_generate_stream_streams_without_a_stream_field(client: Client) -> None:
    assert client.invoke(path="/generate_stream").only_events[-1]["generated_text"] == "C hi"


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_adapter_is_404_and_never_reaches_the_engine(
    client: Client, engine: FakeVllm, stream: bool
) -> None:
    assert_error(client.invoke(adapter_id="nobody", stream=stream), 404, "adapter_not_found")
    assert not engine.asked


def test_an_answer_of_the_base_model_is_never_passed_off_as_the_adapters(client: Client) -> None:
    answer = client.invoke(adapter_id="silent-base")
    assert_error(answer, 500, "wrong_adapter")
    assert b"C hi" not in answer.body
    assert_error(client.invoke(adapter_id="silent-base", stream=True), 500, "wrong_adapter")


@pytest.mark.parametrize("stream", [False, True])
def test_an_adapter_that_does_not_load_is_424(client: Client, stream: bool) -> None:
    assert_error(client.invoke(adapter_id="missing", stream=stream), 424, "adapter_load_failed")


@pytest.mark.parametrize("stream", [False, True])
def test_an_adapter_that_vllm_cannot_serve_is_409(client: Client, stream: bool) -> None:
    assert_error(client.invoke(adapter_id="broken", stream=stream), 409, "adapter_incompatible")


def test_the_callers_words_in_an_engine_error_are_not_taken_for_the_engines(
    client: Client, engine: FakeVllm
) -> None:
    assert client.invoke(adapter_id="otter").status == 200
    asked = len(engine.asked)
    assert_error(client.invoke("quoted", adapter_id="otter"), 422, "validation")
    assert len(engine.asked) == asked + 1, "the adapter is not loaded again"


@pytest.mark.parametrize("name", ["response_format", "logit_bias"])
def test_json_that_is_nested_too_deeply_is_422(client: Client, name: str) -> None:
    deep = b'{"a":' * 600 + b"1" + b"}" * 600
    body = (
        b'{"model":"otter","messages":[{"role":"user","content":"hi"}],"'
        + name.encode()
        + b'":'
        + deep
        + b"}"
    )
    assert_error(client.request("POST", "/v1/chat/completions", body, JSON), 422, "validation")


def test_an_engine_error_is_500_without_its_text(client: Client) -> None:
    answer = client.invoke(adapter_id="failing")
    assert_error(answer, 500, "generation")
    assert b"secret" not in answer.body


def test_a_failure_within_a_stream_is_its_last_event(client: Client) -> None:
    events = client.invoke(adapter_id="breaking", stream=True).only_events
    assert events[0]["token"]["text"] == "C"
    assert events[-1]["error_type"] == "generation"
    assert len(events) == 2


def test_a_prompt_above_the_limit_is_422_and_not_generated_for(client: Client, engine: FakeVllm) -> None:
    assert_error(client.invoke("word " * 51), 422, "validation")
    assert not engine.asked
    assert client.invoke("word " * 50).status == 200


def test_more_tokens_than_the_model_holds_are_422(client: Client) -> None:
    assert_error(client.invoke(max_new_tokens=600), 422, "validation")


@pytest.mark.parametrize(
    "parameters",
    [
        {"watermark": True},
        {"typical_p": 0.5},
        {"truncate": 5},
        {"decoder_input_details": True},
        {"response_format": {"type": "json_object"}},
        {"return_k_alternatives": 2},
        {"best_of": 2, "do_sample": True},
    ],
)
def test_what_vllm_can_not_do_is_refused_by_name(
    client: Client, engine: FakeVllm, parameters: dict[str, Any]
) -> None:
    answer = client.invoke(**parameters)
    assert_error(answer, 422, "validation")
    assert next(iter(parameters)) in answer.json["error"]
    assert not engine.asked


def test_without_sampling_the_likeliest_tokens_are_taken(client: Client, engine: FakeVllm) -> None:
    client.invoke(stop=["END"], ignore_eos_token=True)
    (asked,) = engine.asked
    assert asked["temperature"] == 0
    assert (asked["stop"], asked["include_stop_str_in_output"], asked["ignore_eos"]) == (["END"], True, True)
    assert asked["max_tokens"] == 256


def test_sampling_parameters_are_passed_on(client: Client, engine: FakeVllm) -> None:
    client.invoke(temperature=0.5, top_k=4, top_p=0.9, seed=7, repetition_penalty=1.1, max_new_tokens=9)
    (asked,) = engine.asked
    found = [
        asked[name] for name in ("temperature", "top_k", "top_p", "seed", "repetition_penalty", "max_tokens")
    ]
    assert found == [0.5, 4, 0.9, 7, 1.1, 9]


def test_tokens_are_asked_for_only_when_someone_looks_at_them(client: Client, engine: FakeVllm) -> None:
    client.invoke()
    client.invoke(details=True)
    assert ["logprobs" in asked for asked in engine.asked] == [False, True]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "error_type"),
    [
        (b"{", "application/json", 400, "invalid_json"),
        (b'{"inputs": "Q"}', "text/plain", 415, "unsupported_media_type"),
        (b'{"inputs": ["Q"]}', "application/json", 422, "validation"),
        (b'{"inputs": "' + b"x" * 2_100_000 + b'"}', "application/json", 413, "body_too_large"),
    ],
)
def test_a_bad_body_has_its_own_status(
    client: Client, body: bytes, content_type: str, status: int, error_type: str
) -> None:
    assert_error(
        client.request("POST", "/invocations", body, {"Content-Type": content_type}), status, error_type
    )


def test_another_json_type_is_json_too(client: Client) -> None:
    assert (
        client.request(
            "POST", "/invocations", b'{"inputs": "Q"}', {"Content-Type": "application/vnd.x+json"}
        ).status
        == 200
    )


def test_an_unknown_path_has_the_same_error_shape(client: Client) -> None:
    assert_error(client.post("/v1/load_lora_adapter", {}), 404, "not_found")
    assert_error(client.request("GET", "/invocations"), 405, "method_not_allowed")


def test_ping_reports_whether_the_engine_is_ready(start: Callable[..., Client]) -> None:
    assert start().get("/ping").status == 200
    for state in (EngineState.STARTING, EngineState.SILENT, EngineState.DEAD):
        client = start(state=state)
        assert_error(client.get("/ping"), 503, state.value)
        assert_error(client.invoke(), 503, state.value)


def test_too_many_requests_at_once_are_429_with_retry_after(
    start: Callable[..., Client], engine: FakeVllm
) -> None:
    client = start(MAX_CONCURRENT_REQUESTS="1", MAX_QUEUED_REQUESTS="0", ANSWER_SECONDS="3")
    running = threading.Thread(target=client.invoke, kwargs={"adapter_id": "slow"})
    running.start()
    wait_until(lambda: engine.generates, "the engine generates an answer", seconds=20)
    answer = client.invoke()
    assert_error(answer, 429, "overloaded")
    assert answer.headers["retry-after"] == "1"
    assert client.get("/ping").status == 200
    running.join(timeout=20)
    assert client.invoke().status == 200


def test_an_answer_that_takes_too_long_is_504_and_given_up(
    start: Callable[..., Client], engine: FakeVllm
) -> None:
    assert_error(start(ANSWER_SECONDS="0.3").invoke(adapter_id="slow"), 504, "timeout")
    wait_until(lambda: engine.abandoned == 1, "the request is abandoned", seconds=20)


MESSAGES = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": "add"}}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "choice", [None, "auto", "required", {"type": "function", "function": {"name": "add"}}]
)
def test_tools_without_a_parser_are_refused_before_the_engine_is_asked(
    client: Client, engine: FakeVllm, choice: Any, stream: bool
) -> None:
    body = {"messages": MESSAGES, "tools": TOOLS, "tool_choice": choice, "stream": stream}
    answer = client.post("/v1/chat/completions", body)
    assert_error(answer, 422, "validation")
    assert "`tools`: this endpoint has no tool-call parser" in answer.json["error"]
    assert "engine.tool_call_parser" in answer.json["error"]
    assert not engine.asked


@pytest.mark.parametrize("name", ["Not A Name", "s3://other/otter", "GPT-4o", "otter@latest"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": MESSAGES}, "model"),
        ({"prompt": "hi"}, "model"),
        ({"inputs": "hi"}, "parameters.adapter_id"),
    ],
)
def test_what_cannot_be_an_adapter_is_named_by_the_callers_field(
    client: Client, body: dict[str, Any], field: str, name: str
) -> None:
    body = body | ({"model": name} if field == "model" else {"parameters": {"adapter_id": name}})
    answer = client.post("/invocations", body)
    assert_error(answer, 422, "validation")
    assert answer.json["error"].startswith(
        f"Input validation error: `{field}`: {name!r} cannot be an adapter: "
    )
    assert "adapter_id" not in answer.json["error"].replace(f"`{field}`", "")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": [{"role": "user", "content": "hi " * 60}]}, "messages"),
        ({"prompt": "hi " * 60}, "prompt"),
        ({"inputs": "hi " * 60}, "inputs"),
    ],
)
def test_a_prompt_that_is_too_long_is_named_by_the_callers_field(
    client: Client, body: dict[str, Any], field: str
) -> None:
    answer = client.post("/invocations", body)
    assert_error(answer, 422, "validation")
    assert f"`{field}` must have at most 50 tokens" in answer.json["error"]
