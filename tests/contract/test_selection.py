"""An adapter that is asked for in a way that the gateway does not read: refused, never the base model's answer."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from container.gateway.schemas.lorax import GenerateRequest, Options, Parameters
from container.gateway.schemas.openai import IGNORED, ChatRequest, TextRequest
from container.gateway.schemas.other_servers import OTHER_KEYS
from tests.contract.fake_vllm import BASE_MODEL
from tests.contract.malformed import any_json
from tests.contract.recorded_gateway import REVISION, RecordedGateway
from tests.contract.selections import ATTRIBUTES, HARMLESS, HEADERS, OPENAI, PARAMETERS, TOP
from tests.harness.http_client import JSON

LORAX: dict[str, Any] = {"inputs": "secret"}
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "secret"}]}
TEXT: dict[str, Any] = {"prompt": "secret"}


@pytest.mark.parametrize("keys", TOP, ids=str)
def test_beside_inputs(tested: RecordedGateway, keys: dict[str, Any]) -> None:
    assert "name the adapter in `parameters.adapter_id`" in tested.refusal(LORAX | keys)


@pytest.mark.parametrize("keys", PARAMETERS, ids=str)
def test_within_parameters(tested: RecordedGateway, keys: dict[str, Any]) -> None:
    for named in ({}, {"adapter_id": "otter"}):
        message = tested.refusal(LORAX | {"parameters": named | keys})
        assert "name the adapter in `parameters.adapter_id`" in message


@pytest.mark.parametrize("keys", OPENAI, ids=str)
@pytest.mark.parametrize("schema", [CHAT, TEXT], ids=["chat", "text"])
def test_in_openais_schemas(tested: RecordedGateway, schema: dict[str, Any], keys: dict[str, Any]) -> None:
    for named in ({}, {"model": BASE_MODEL}, {"model": "otter"}):
        assert "name the adapter in `model`" in tested.refusal(schema | named | keys)


@pytest.mark.parametrize("headers", HEADERS, ids=str)
def test_in_a_header_or_a_custom_attribute(tested: RecordedGateway, headers: dict[str, str]) -> None:
    assert "name the adapter in `parameters.adapter_id`" in tested.refusal(LORAX, headers)
    assert "name the adapter in `model`" in tested.refusal(TEXT, headers)
    heron = {"parameters": {"adapter_id": "heron"}}
    assert "name the adapter in" in tested.refusal(LORAX | heron, headers), "it would contradict the body"


@pytest.mark.parametrize("headers", HARMLESS, ids=str)
def test_what_chooses_nothing_is_served(tested: RecordedGateway, headers: dict[str, str]) -> None:
    assert tested.send(LORAX, headers).status == 200
    assert len(tested.engine.asked) == 1


def test_a_header_may_repeat_the_bodys_choice(tested: RecordedGateway) -> None:
    for named in ("otter", f"otter@{REVISION}"):
        headers = {ATTRIBUTES: f"adapter={named};request=1", "X-Adapter-Id": named}
        assert tested.send(LORAX | {"parameters": {"adapter_id": named}}, headers).status == 200
        assert tested.send(TEXT | {"model": named}, headers).status == 200
    assert tested.send(TEXT | {"model": BASE_MODEL}, {"X-Model": BASE_MODEL}).status == 200


@pytest.mark.parametrize("path", ["/invocations", "/", "/generate", "/generate_stream"])
@pytest.mark.parametrize("name", ["adapter_id", "model", "lora"])
def test_in_the_query(tested: RecordedGateway, path: str, name: str) -> None:
    message = tested.refusal(LORAX, path=f"{path}?trace=1&{name}=otter")
    assert f"the query parameter `{name}` is not read" in message
    assert tested.send(LORAX, path=f"{path}?trace=1").status == 200


def test_in_metadata(tested: RecordedGateway) -> None:
    assert "the metadata key `adapter`" in tested.refusal(TEXT | {"metadata": {"adapter": "otter"}})
    assert tested.send(TEXT | {"model": "otter", "metadata": {"adapter": "otter", "team": "a"}}).status == 200


@pytest.mark.parametrize(
    "body",
    [
        '{"inputs": "secret", "parameters": {"adapter_id": "otter"}, "parameters": {}}',
        '{"inputs": "secret", "parameters": {"adapter_id": "otter", "adapter_id": null}}',
        '{"prompt": "secret", "model": "otter", "model": ""}',
    ],
)
def test_a_choice_that_is_taken_back_by_the_same_key(tested: RecordedGateway, body: str) -> None:
    """LoRAX refuses a key twice, too; a JSON reader takes the last one."""
    answer = tested.client.request("POST", "/invocations", body.encode(), JSON)
    assert answer.error[:2] == (422, "validation")
    assert "twice in one object" in answer.error[2]


def test_a_prompt_may_quote_a_request(tested: RecordedGateway) -> None:
    quoted = json.dumps({"model": "a", "parameters": {"adapter_id": 1}})
    assert tested.send({"inputs": f"{quoted}{quoted}", "parameters": {"adapter_id": "otter"}}).status == 200


# Any name, any value

#: Words of which names are made, in each style of writing them.
_CHOICE = st.sampled_from(("adapter", "adapters", "lora", "adaptor", "peft", "qlora", "model", "targetModel"))
_OTHER = st.sampled_from(("x", "my", "base", "request", "active"))
_END = st.sampled_from(("", "id", "name"))
_STYLES = (
    "_".join,
    "-".join,
    lambda words: "-".join(word.title() for word in words),
    lambda words: words[0] + "".join(word.title() for word in words[1:]),
    lambda words: ".".join(words).upper(),
)
choices = st.builds(
    lambda before, word, end, style: style([*before, word, *([end] if end else [])]),
    st.lists(_OTHER, max_size=2),
    _CHOICE,
    _END,
    st.sampled_from(_STYLES),
)
#: Keys near the known ones, too: one letter more or less.
_FIELDS = sorted({*GenerateRequest.model_fields, *Parameters.model_fields, *ChatRequest.model_fields})
_NEAR = st.builds(
    lambda field, at: field[:at] + field[at + 1 :], st.sampled_from(_FIELDS), st.integers(0, 20)
)
names = choices | _NEAR | st.text(min_size=1, max_size=30)
values = any_json.filter(lambda value: value is not None)


def unknown(*known: Any) -> st.SearchStrategy[str]:
    taken = {name for each in known for name in each}
    return names.filter(lambda name: name not in taken)


#: Where a key may be; OTHER_KEYS' are tested by value in test_lorax.py.
PLACES = st.one_of(
    st.tuples(
        unknown(GenerateRequest.model_fields, ("messages", "prompt")), st.just(lambda pair: LORAX | pair)
    ),
    st.tuples(
        unknown(Parameters.model_fields, OTHER_KEYS), st.just(lambda pair: LORAX | {"parameters": pair})
    ),
    st.tuples(unknown(Options.model_fields, OTHER_KEYS), st.just(lambda pair: LORAX | {"options": pair})),
    st.tuples(
        unknown(ChatRequest.model_fields, IGNORED, ("inputs", "prompt")), st.just(lambda pair: CHAT | pair)
    ),
    st.tuples(
        unknown(TextRequest.model_fields, IGNORED, ("inputs", "messages")), st.just(lambda pair: TEXT | pair)
    ),
)


@given(place=PLACES, value=values)
def test_an_unknown_key_with_any_value_never_reaches_the_engine(
    tested: RecordedGateway, place: tuple[str, Any], value: Any
) -> None:
    name, make = place
    message = tested.refusal(make({name: value}))
    assert len(message) < 300


@given(
    name=choices,
    value=st.text("abcdefghij0123456789./@-", min_size=1).filter(lambda value: value != BASE_MODEL),
    body=st.sampled_from([LORAX, CHAT, TEXT, TEXT | {"model": "otter"}]),
    place=st.sampled_from(["header", "attribute", "json", "query", "metadata"]),
)
def test_a_choice_beside_the_body_never_reaches_the_engine(
    tested: RecordedGateway, name: str, value: str, body: dict[str, Any], place: str
) -> None:
    if place == "header":
        tested.refusal(body, {name: value})
    elif place == "attribute":
        tested.refusal(body, {ATTRIBUTES: f"accept_eula=true;{name}={value}"})
    elif place == "json":
        tested.refusal(body, {ATTRIBUTES: json.dumps({"trace": "a", name: value})})
    elif place == "query":
        tested.refusal(body, path=f"/invocations?{urlencode({name: value})}")
    elif "inputs" not in body:
        tested.refusal(body | {"metadata": {name: value}})
