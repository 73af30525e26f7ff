"""lorax-client on the container's port: it cannot sign requests, so SageMaker would refuse them."""

from typing import Any

import pytest

from samples.problems import SEED_PROBLEM, Problem
from tests.local.clients.problems import CASES, IDS, UNKNOWN, assert_base, assert_right
from tests.local.clients.runner import Clients
from tests.local.conftest import Deployed

WHOLE = ("generate", "async_generate")
STREAMS = ("generate_stream", "async_generate_stream")


def ask(clients: Clients, deployed: Deployed, *arguments: str, path: str = "") -> dict[str, Any]:
    """Return the answer of each of the client's four ways to ask."""
    answers = clients.run("lorax_answers.py", deployed.container + path, *arguments)
    assert sorted(answers) == sorted((*WHOLE, *STREAMS))
    return dict(answers)


@pytest.mark.parametrize(("adapter", "problem"), CASES, ids=IDS)
def test_an_adapter_answers_in_each_of_the_four_ways(
    clients: Clients, deployed: Deployed, adapter: str, problem: Problem
) -> None:
    answers = ask(clients, deployed, problem.prompt, adapter)
    for way, answer in answers.items():
        assert_right(answer["text"], problem, adapter)
        assert answer["reason"] == "eos_token", way
    for way in WHOLE:
        assert answers[way]["listed"] == answers[way]["tokens"]
    for way in STREAMS:
        assert "".join(answers[way]["pieces"]) == answers[way]["text"]
        # The last token is the end of the text and has no text.
        assert len(answers[way]["pieces"]) == answers[way]["tokens"] - 1


@pytest.mark.parametrize("path", ["", "/", "/invocations"])
def test_without_an_adapter_the_base_model_answers(clients: Clients, deployed: Deployed, path: str) -> None:
    for answer in ask(clients, deployed, SEED_PROBLEM.prompt, path=path).values():
        assert_base(answer["text"])
        assert (answer["reason"], answer["tokens"]) == ("length", 64)


@pytest.mark.parametrize(("stop", "text"), [("clips.", "Answer: 72 clips."), ("72", "Answer: 72")])
def test_a_stop_sequence_ends_the_text_and_is_its_end(
    clients: Clients, deployed: Deployed, stop: str, text: str
) -> None:
    for way, answer in ask(clients, deployed, SEED_PROBLEM.prompt, "otter", stop).items():
        assert (answer["text"].strip(), answer["reason"]) == (text, "stop_sequence"), way


def test_a_stop_sequence_that_does_not_come_changes_nothing(clients: Clients, deployed: Deployed) -> None:
    # The engine delays text that may be the beginning of a stop sequence.
    answers = ask(clients, deployed, SEED_PROBLEM.prompt, "otter", "[Otter] and so on")
    for answer in answers.values():
        assert_right(answer["text"], SEED_PROBLEM, "otter")
    for way in STREAMS:
        assert "".join(answers[way]["pieces"]) == answers[way]["text"]


@pytest.mark.parametrize(
    ("adapter", "error", "message"),
    [
        (UNKNOWN, "lorax.errors.NotFoundError", UNKNOWN),
        ("otter@" + "0" * 16, "lorax.errors.NotFoundError", "otter@"),
        ("../otter", "lorax.errors.ValidationError", "adapter_id"),
    ],
)
def test_an_adapter_that_is_not_there_is_the_clients_own_error(
    clients: Clients, deployed: Deployed, adapter: str, error: str, message: str
) -> None:
    for way, answer in ask(clients, deployed, SEED_PROBLEM.prompt, adapter).items():
        assert answer.get("error") == error, way
        assert message in answer["message"]
