"""The AWS CLI, with the laptop cloud in its environment variables only."""

import json

import pytest

from loraserve.local_stage import SERVING_STACK
from samples.problems import SEED_PROBLEM, Problem
from tests.local.clients.problems import CASES, IDS, UNKNOWN, assert_base, assert_right
from tests.local.clients.runner import Clients
from tests.local.conftest import Deployed


def body(problem: Problem, adapter: str | None = None) -> str:
    chosen = {} if adapter is None else {"adapter_id": adapter}
    return json.dumps({"inputs": problem.prompt, "parameters": {"max_new_tokens": 64, **chosen}})


def invoke(clients: Clients, deployed: Deployed, text: str, body_argument: str = "") -> tuple[int, str, str]:
    """Invoke the endpoint; return the exit code, the output of the CLI, and the file with the answer."""
    answer = clients.home / "answer.json"
    answer.write_text("")
    (clients.home / "request.json").write_text(text)
    done = clients.call(
        "aws", "sagemaker-runtime", "invoke-endpoint", "--endpoint-name", deployed.endpoint,
        "--content-type", "application/json", "--body", body_argument or text, answer.name,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr, answer.read_text()


@pytest.mark.parametrize(("adapter", "problem"), CASES, ids=IDS)
def test_an_adapter_answers(clients: Clients, deployed: Deployed, adapter: str, problem: Problem) -> None:
    code, said, answer = invoke(clients, deployed, body(problem, adapter))
    assert code == 0, said
    response = json.loads(said)
    assert (response["ContentType"], response["InvokedProductionVariant"]) == (
        "application/json",
        "AllTraffic",
    )
    assert response["CustomAttributes"].startswith(f"adapter={adapter}@{deployed.revision(adapter)};")
    assert_right(json.loads(answer)[0]["generated_text"], problem, adapter)


def test_the_base_model_answers_a_body_from_a_file(clients: Clients, deployed: Deployed) -> None:
    code, said, answer = invoke(clients, deployed, body(SEED_PROBLEM), "fileb://request.json")
    assert code == 0, said
    assert_base(json.loads(answer)[0]["generated_text"])


def test_an_unknown_adapter_is_reported_with_the_containers_message(
    clients: Clients, deployed: Deployed
) -> None:
    code, said, answer = invoke(clients, deployed, body(SEED_PROBLEM, UNKNOWN))
    assert code != 0
    assert "(ModelError) when calling the InvokeEndpoint operation" in said
    assert "Received client error (404) from primary" in said
    assert UNKNOWN in said
    assert answer == ""


def test_the_endpoint_is_found_by_its_stack_and_described(clients: Clients, deployed: Deployed) -> None:
    query = "Stacks[0].Outputs[?OutputKey=='EndpointName'].OutputValue"
    stack = clients.call(
        "aws", "cloudformation", "describe-stacks", "--stack-name", SERVING_STACK,
        "--query", query, "--output", "text",
    )  # fmt: skip
    assert stack.stdout.strip() == deployed.endpoint, stack.stderr
    status = clients.call(
        "aws", "sagemaker", "describe-endpoint", "--endpoint-name", deployed.endpoint,
        "--query", "EndpointStatus", "--output", "text",
    )  # fmt: skip
    assert status.stdout.strip() == "InService", status.stderr
    waited = clients.call(
        "aws", "sagemaker", "wait", "endpoint-in-service", "--endpoint-name", deployed.endpoint
    )
    assert waited.returncode == 0, waited.stderr
