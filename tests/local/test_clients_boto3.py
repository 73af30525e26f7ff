"""boto3, through SageMaker Runtime, with each of the three kinds of body."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from loraserve.client import runtime_config
from samples.problems import SEED_PROBLEM, Problem
from tests.local.clients.problems import CASES, IDS, UNKNOWN, assert_base, assert_right
from tests.local.clients.streams import lorax_events, openai_chunks, payload
from tests.local.conftest import Deployed

Make = Callable[..., dict[str, Any]]


def lorax(problem: Problem, adapter: str, tokens: int = 64) -> dict[str, Any]:
    return {"inputs": problem.prompt, "parameters": {"adapter_id": adapter, "max_new_tokens": tokens}}


def chat(problem: Problem, adapter: str, tokens: int = 64) -> dict[str, Any]:
    messages = [{"role": "user", "content": problem.question}]
    return {"model": adapter, "messages": messages, "max_tokens": tokens, "temperature": 0}


def text(problem: Problem, adapter: str, tokens: int = 64) -> dict[str, Any]:
    return {"model": adapter, "prompt": problem.prompt, "max_tokens": tokens, "temperature": 0}


each_case = pytest.mark.parametrize(("adapter", "problem"), CASES, ids=IDS)
each_body = pytest.mark.parametrize("make", [lorax, chat, text])


@pytest.fixture(scope="module")
def runtime(deployed: Deployed) -> Any:
    return deployed.cloud.client("sagemaker-runtime", runtime_config())


def asked(deployed: Deployed, request: dict[str, Any]) -> dict[str, Any]:
    return {
        "EndpointName": deployed.endpoint,
        "ContentType": "application/json",
        "Body": json.dumps(request),
    }


def invoke(runtime: Any, deployed: Deployed, request: dict[str, Any]) -> Any:
    response = runtime.invoke_endpoint(**asked(deployed, request))
    assert response["ContentType"] == "application/json"
    assert response["InvokedProductionVariant"] == "AllTraffic"
    return json.load(response["Body"])


def stream(runtime: Any, deployed: Deployed, request: dict[str, Any]) -> bytes:
    response = runtime.invoke_endpoint_with_response_stream(**asked(deployed, {**request, "stream": True}))
    assert response["ContentType"].startswith("text/event-stream")
    return payload(response)


def content(chunks: list[dict[str, Any]], kind: str) -> str:
    """Return a streamed OpenAI answer's text; assert the object type of each chunk."""
    assert {chunk["object"] for chunk in chunks} == {kind}
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    if kind == "text_completion":
        return "".join(choice["text"] for choice in choices)
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@each_case
def test_loraxs_schema(runtime: Any, deployed: Deployed, adapter: str, problem: Problem) -> None:
    [answer] = invoke(runtime, deployed, lorax(problem, adapter))
    assert_right(answer["generated_text"], problem, adapter)


@each_case
def test_loraxs_schema_streamed(runtime: Any, deployed: Deployed, adapter: str, problem: Problem) -> None:
    events = lorax_events(stream(runtime, deployed, lorax(problem, adapter)))
    tokens = "".join(event["token"]["text"] for event in events if not event["token"]["special"])
    assert_right(tokens, problem, adapter)
    assert [event["generated_text"] for event in events] == [None] * (len(events) - 1) + [tokens]


@each_case
def test_openais_chat_schema(runtime: Any, deployed: Deployed, adapter: str, problem: Problem) -> None:
    answer = invoke(runtime, deployed, chat(problem, adapter))
    assert (answer["object"], answer["model"]) == ("chat.completion", adapter)
    [choice] = answer["choices"]
    assert (choice["message"]["role"], choice["finish_reason"]) == ("assistant", "stop")
    assert_right(choice["message"]["content"], problem, adapter)


@each_case
def test_openais_chat_schema_streamed(
    runtime: Any, deployed: Deployed, adapter: str, problem: Problem
) -> None:
    chunks = openai_chunks(stream(runtime, deployed, chat(problem, adapter)))
    assert_right(content(chunks, "chat.completion.chunk"), problem, adapter)
    assert {chunk["model"] for chunk in chunks} == {adapter}


@each_case
def test_openais_text_schema(runtime: Any, deployed: Deployed, adapter: str, problem: Problem) -> None:
    answer = invoke(runtime, deployed, text(problem, adapter))
    assert (answer["object"], answer["model"]) == ("text_completion", adapter)
    [choice] = answer["choices"]
    assert choice["finish_reason"] == "stop"
    assert_right(choice["text"], problem, adapter)


@each_case
def test_openais_text_schema_streamed(
    runtime: Any, deployed: Deployed, adapter: str, problem: Problem
) -> None:
    chunks = openai_chunks(stream(runtime, deployed, text(problem, adapter)))
    assert_right(content(chunks, "text_completion"), problem, adapter)
    assert {chunk["model"] for chunk in chunks} == {adapter}


def test_the_base_model_answers_each_kind_of_body(runtime: Any, deployed: Deployed) -> None:
    assert_base(invoke(runtime, deployed, lorax(SEED_PROBLEM, ""))[0]["generated_text"])
    assert_base(invoke(runtime, deployed, text(SEED_PROBLEM, ""))["choices"][0]["text"])
    assert_base(invoke(runtime, deployed, chat(SEED_PROBLEM, ""))["choices"][0]["message"]["content"])


@each_body
def test_the_parts_of_a_stream_come_one_after_the_other(runtime: Any, deployed: Deployed, make: Make) -> None:
    response = runtime.invoke_endpoint_with_response_stream(
        # Two seconds: what a busy machine has not sent yet becomes one part.
        **asked(deployed, {**make(SEED_PROBLEM, "", tokens=240), "stream": True})
    )
    assert len([event for event in response["Body"] if "PayloadPart" in event]) > 2


def test_the_answer_names_the_revision_and_the_callers_own_id(runtime: Any, deployed: Deployed) -> None:
    request = asked(deployed, lorax(SEED_PROBLEM, "heron")) | {"InferenceId": "my-own-id"}
    whole = runtime.invoke_endpoint(**request)
    streamed = runtime.invoke_endpoint_with_response_stream(**request)
    attributes = f"adapter=heron@{deployed.revision('heron')};request=my-own-id"
    assert (whole["CustomAttributes"], streamed["CustomAttributes"]) == (attributes, attributes)


@each_body
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_an_unknown_adapter_is_a_model_error(
    runtime: Any, deployed: Deployed, make: Make, streamed: bool
) -> None:
    send = stream if streamed else invoke
    with pytest.raises(runtime.exceptions.ModelError) as refused:
        send(runtime, deployed, make(SEED_PROBLEM, UNKNOWN))
    response = refused.value.response
    assert response["OriginalStatusCode"] == 404
    body = json.loads(response["OriginalMessage"])
    assert sorted(body) == ["error", "error_type"]
    assert UNKNOWN in body["error"]
    assert body["error_type"] == "adapter_not_found"


def test_a_body_of_no_known_kind_is_a_model_error(runtime: Any, deployed: Deployed) -> None:
    with pytest.raises(ClientError) as refused:
        invoke(runtime, deployed, {"question": SEED_PROBLEM.question})
    assert refused.value.response["OriginalStatusCode"] == 422
