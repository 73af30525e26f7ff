"""The SageMaker Python SDK, version 3: its package of resources, sagemaker-core."""

import json
from typing import Any

import pytest

from samples.problems import SEED_PROBLEM, Problem
from tests.local.clients.problems import CASES, UNKNOWN, assert_base, assert_right
from tests.local.clients.runner import Clients
from tests.local.clients.streams import lorax_events
from tests.local.conftest import Deployed


def ask(clients: Clients, deployed: Deployed, way: str, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """Send the requests; return the SDK's result for each of them."""
    bodies = [json.dumps(request) for request in requests]
    got = clients.run("sagemaker_answers.py", deployed.endpoint, way, *bodies)
    assert got["status"] == "InService"
    return list(got["outcomes"])


def lorax(problem: Problem, **parameters: Any) -> dict[str, Any]:
    return {"inputs": problem.prompt, "parameters": {"max_new_tokens": 64, **parameters}}


def test_each_adapter_answers_through_the_endpoint_that_is_got(clients: Clients, deployed: Deployed) -> None:
    requests = [lorax(problem, adapter_id=adapter) for adapter, problem in CASES]
    outcomes = ask(clients, deployed, "invoke", *requests)
    for (adapter, problem), got in zip(CASES, outcomes, strict=True):
        assert (got["content_type"], got["variant"]) == ("application/json", "AllTraffic")
        assert got["attributes"].startswith(f"adapter={adapter}@{deployed.revision(adapter)};")
        assert_right(got["answer"][0]["generated_text"], problem, adapter)


def test_base_model_answers_and_an_unknown_adapter_is_a_model_error(
    clients: Clients, deployed: Deployed
) -> None:
    base, unknown = ask(
        clients, deployed, "invoke", lorax(SEED_PROBLEM), lorax(SEED_PROBLEM, adapter_id=UNKNOWN)
    )
    assert_base(base["answer"][0]["generated_text"])
    assert (unknown["error"], unknown["original_status"]) == ("ModelError", 404)
    assert unknown["original_message"]["error_type"] == "adapter_not_found"


def test_an_openai_style_chat_is_answered(clients: Clients, deployed: Deployed) -> None:
    messages = [{"role": "user", "content": SEED_PROBLEM.question}]
    chat = {"model": "heron", "messages": messages, "max_tokens": 64, "temperature": 0}
    [got] = ask(clients, deployed, "invoke", chat)
    assert_right(got["answer"]["choices"][0]["message"]["content"], SEED_PROBLEM, "heron")


@pytest.mark.xfail(
    strict=True,
    reason="sagemaker-core 2.27.0 takes boto3's event stream for a dictionary, whatever endpoint sends it",
)
def test_a_stream_is_read_to_its_end(clients: Clients, deployed: Deployed) -> None:
    request = {**lorax(SEED_PROBLEM, adapter_id="otter"), "stream": True}
    [got] = ask(clients, deployed, "stream", request)
    assert_right(lorax_events(got["stream"].encode())[-1]["generated_text"], SEED_PROBLEM, "otter")
