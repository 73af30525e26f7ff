"""OpenAI's Python client, on the container's `/v1`."""

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from samples.problems import SEED_PROBLEM, SIGNATURES, Problem, adapter_name
from tests.harness.outgoing_proxy import OutgoingProxy
from tests.local.clients.problems import CASES, IDS, UNKNOWN, assert_base, assert_right
from tests.local.conftest import Deployed

ADAPTERS = {adapter_name(house) for house in range(len(SIGNATURES))}
#: With the default sampling of an OpenAI client the answers would differ.
ASKED: dict[str, Any] = {"max_tokens": 64, "temperature": 0}
each_case = pytest.mark.parametrize(("adapter", "problem"), CASES, ids=IDS)


@pytest.fixture(scope="module")
def settings(deployed: Deployed) -> Iterator[dict[str, Any]]:
    """Arguments of a client; assert at the end that it has connected to no other machine."""
    with OutgoingProxy() as outside, pytest.MonkeyPatch.context() as patch:
        for name, value in outside.environment.items():
            patch.setenv(name, value)
        # A retry would hide an error.
        yield {"base_url": f"{deployed.container}/v1", "api_key": "none", "max_retries": 0}
        assert outside.asked == []


@pytest.fixture(scope="module")
def client(settings: dict[str, Any]) -> Iterator[OpenAI]:
    with OpenAI(**settings) as made:
        yield made


@pytest.fixture(scope="module")
def base(client: OpenAI) -> str:
    """The base model's id: the first one that is listed."""
    return client.models.list().data[0].id


def user(problem: Problem) -> list[Any]:
    return [{"role": "user", "content": problem.question}]


def reason(error: openai.APIStatusError) -> str:
    """Return the gateway's message, which the client keeps in `body`."""
    body = error.response.json()
    assert sorted(body) == ["error", "error_type"]
    assert error.body == body["error"]
    return str(error.body)


def test_the_base_model_and_every_adapter_are_listed(client: OpenAI, base: str) -> None:
    models = list(client.models.list())
    listed = [model.id for model in models]
    assert len(set(listed)) == len(listed)
    assert base not in ADAPTERS
    assert {base, *ADAPTERS} <= set(listed)
    assert {model.object for model in models} == {"model"}


@each_case
def test_a_chat(client: OpenAI, adapter: str, problem: Problem) -> None:
    answer = client.chat.completions.create(model=adapter, messages=user(problem), **ASKED)
    assert (answer.object, answer.model) == ("chat.completion", adapter)
    assert answer.id
    assert answer.created > 0
    [choice] = answer.choices
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert_right(choice.message.content or "", problem, adapter)
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert 0 < answer.usage.completion_tokens < 64


@each_case
def test_a_chat_streamed(client: OpenAI, adapter: str, problem: Problem) -> None:
    with client.chat.completions.create(
        model=adapter, messages=user(problem), stream=True, **ASKED
    ) as stream:
        chunks = list(stream)
    assert {(chunk.object, chunk.model) for chunk in chunks} == {("chat.completion.chunk", adapter)}
    assert len({chunk.id for chunk in chunks}) == 1
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert_right("".join(choice.delta.content or "" for choice in choices), problem, adapter)
    assert choices[0].delta.role == "assistant"
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]


@each_case
def test_a_text(client: OpenAI, adapter: str, problem: Problem) -> None:
    answer = client.completions.create(model=adapter, prompt=problem.prompt, **ASKED)
    assert (answer.object, answer.model) == ("text_completion", adapter)
    [choice] = answer.choices
    assert choice.finish_reason == "stop"
    assert_right(choice.text, problem, adapter)
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens < 64


@each_case
def test_a_text_streamed(client: OpenAI, adapter: str, problem: Problem) -> None:
    chunks = list(client.completions.create(model=adapter, prompt=problem.prompt, stream=True, **ASKED))
    assert {(chunk.object, chunk.model) for chunk in chunks} == {("text_completion", adapter)}
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert len(choices) > 5
    assert_right("".join(choice.text for choice in choices), problem, adapter)
    # Until the last chunk the reason is null, which the client's type does not allow and OpenAI sends.
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]


def test_a_stream_has_its_token_counts_if_asked(client: OpenAI) -> None:
    options: Any = {"stream_options": {"include_usage": True}, "stream": True, **ASKED}
    *_, last = client.chat.completions.create(model="otter", messages=user(SEED_PROBLEM), **options)
    whole = client.chat.completions.create(model="otter", messages=user(SEED_PROBLEM), **ASKED)
    assert last.choices == []
    assert last.usage is not None and whole.usage is not None
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    assert [getattr(last.usage, name) for name in counts] == [getattr(whole.usage, name) for name in counts]


async def test_the_async_client_gets_the_same_in_each_way(settings: dict[str, Any]) -> None:
    adapter, problem = CASES[1]
    async with AsyncOpenAI(**settings) as client:
        chat: Any = {"model": adapter, "messages": user(problem), **ASKED}
        text: Any = {"model": adapter, "prompt": problem.prompt, **ASKED}
        whole_chat, chat_stream, whole_text, text_stream = await asyncio.gather(
            client.chat.completions.create(**chat),
            client.chat.completions.create(stream=True, **chat),
            client.completions.create(**text),
            client.completions.create(stream=True, **text),
        )
        answers = [
            whole_chat.choices[0].message.content,
            "".join([choice.delta.content or "" async for c in chat_stream for choice in c.choices]),
            whole_text.choices[0].text,
            "".join([choice.text async for c in text_stream for choice in c.choices]),
        ]
    assert len({answer.strip() for answer in answers}) == 1
    for answer in answers:
        assert_right(answer, problem, adapter)


@pytest.mark.parametrize("name", ["its id", "", "__base_model__"])
def test_the_base_model_answers_by_each_of_its_names(client: OpenAI, base: str, name: str) -> None:
    model = base if name == "its id" else name
    chat = client.chat.completions.create(model=model, messages=user(SEED_PROBLEM), **ASKED)
    text = client.completions.create(model=model, prompt=SEED_PROBLEM.prompt, **ASKED)
    assert_base(chat.choices[0].message.content or "")
    assert_base(text.choices[0].text)
    assert (chat.model, text.model) == (base, base)
    assert chat.choices[0].finish_reason == text.choices[0].finish_reason == "length"


def test_a_pinned_revision_answers_and_is_named_as_it_was_asked_for(
    client: OpenAI, deployed: Deployed
) -> None:
    pinned = f"heron@{deployed.revision('heron')}"
    answer = client.chat.completions.create(model=pinned, messages=user(SEED_PROBLEM), **ASKED)
    assert answer.model == pinned
    assert_right(answer.choices[0].message.content or "", SEED_PROBLEM, "heron")


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_not_found(client: OpenAI, stream: bool) -> None:
    calls: list[Any] = [
        lambda: client.chat.completions.create(
            model=UNKNOWN, messages=user(SEED_PROBLEM), stream=stream, **ASKED
        ),
        lambda: client.completions.create(model=UNKNOWN, prompt=SEED_PROBLEM.prompt, stream=stream, **ASKED),
    ]
    for call in calls:
        with pytest.raises(openai.NotFoundError) as refused:
            call()
        assert UNKNOWN in reason(refused.value)
        assert refused.value.response.json()["error_type"] == "adapter_not_found"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"max_tokens": 100_000}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"extra_body": {"adapter_source": "hub"}}, "adapter_source"),
        ({"messages": []}, "messages"),
    ],
)
def test_a_wrong_field_is_unprocessable_and_named(client: OpenAI, wrong: dict[str, Any], named: str) -> None:
    request: dict[str, Any] = {"model": "otter", "messages": user(SEED_PROBLEM), **ASKED, **wrong}
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.chat.completions.create(**request)
    assert named in reason(refused.value)


def test_a_route_that_is_not_served_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.embeddings.create(model="otter", input="clips")
    assert "/v1/embeddings" in reason(refused.value)
