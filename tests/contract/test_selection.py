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
from tests.contract.selections import (
    ATTRIBUTES,
    HARMLESS,
    HEADERS,
    OF_A_MODEL,
    OPENAI,
    PARAMETERS,
    TOP,
    WRITTEN,
)
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


@pytest.mark.parametrize("attributes", WRITTEN, ids=str)
def test_in_custom_attributes_however_they_are_written(tested: RecordedGateway, attributes: str) -> None:
    for body in (LORAX, LORAX | {"parameters": {"adapter_id": "heron"}}):
        message = tested.refusal(body, {ATTRIBUTES: attributes})
        assert "name the adapter in `parameters.adapter_id`" in message
    named = LORAX | {"parameters": {"adapter_id": "otter"}}
    assert tested.send(named, {ATTRIBUTES: attributes}).status == 200, "it repeats the body's choice"


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
    assert "the metadata `adapter`" in tested.refusal(TEXT | {"metadata": {"x": "a=1,adapter=otter"}})
    for tags in ({"adapter": "otter", "team": "a"}, {"x": "adapter=otter", "n": 1, "b": True, "c": None}):
        assert tested.send(TEXT | {"model": "otter", "metadata": tags}).status == 200


@pytest.mark.parametrize(
    "tags",
    [{"req": {"adapter": "otter"}}, {"req": [{"adapter": "otter"}]}, {"x": [1]}, [{"lora": "otter"}], "adapter=otter"],
    ids=str,
)  # fmt: skip
def test_metadata_are_an_object_of_plain_values(tested: RecordedGateway, tags: Any) -> None:
    """OpenAI's are strings. What is within one would not be read."""
    for named in ({}, {"model": "otter"}):
        assert "`metadata" in tested.refusal(TEXT | named | {"metadata": tags})


@pytest.mark.parametrize("name", sorted(IGNORED - {"metadata"}))
def test_an_ignored_key_has_a_plain_value(tested: RecordedGateway, name: str) -> None:
    message = tested.refusal(TEXT | {name: {"adapter_id": "otter"}})
    assert f"`{name}`: leave it out, and name the adapter in `model`" in message
    assert f"`{name}`: must be one string, number or boolean" in tested.refusal(CHAT | {name: [1]})
    for value in ("a", 1, True, None):
        assert tested.send(TEXT | {name: value}).status == 200


@pytest.mark.parametrize("name", ["use_cache", "sagemaker_base_url"])
def test_an_ignored_parameter_has_a_plain_value(tested: RecordedGateway, name: str) -> None:
    message = tested.refusal(LORAX | {"parameters": {name: {"adapter_id": "otter"}}})
    assert "name the adapter in `parameters.adapter_id`" in message
    assert f"`parameters.{name}`: " in tested.refusal(LORAX | {"parameters": {name: ["a"]}})


@pytest.mark.parametrize("named", ["otter", f"otter@{REVISION}"])
def test_the_attributes_of_an_answer_may_be_sent_again(tested: RecordedGateway, named: str) -> None:
    body = LORAX | {"parameters": {"adapter_id": named}}
    attributes = tested.send(body).headers[ATTRIBUTES.lower()]
    assert attributes.startswith(f"adapter=otter@{REVISION};request=")
    assert tested.send(body, {ATTRIBUTES: attributes}).status == 200
    other = {ATTRIBUTES: f"adapter=otter@{REVISION[::-1]}"}
    assert (tested.send(body, other).status == 200) == (named == "otter"), "the body names no revision"
    assert "name the adapter in" in tested.refusal(LORAX, {ATTRIBUTES: attributes})


@pytest.mark.parametrize("headers", OF_A_MODEL, ids=str)
def test_a_name_that_ends_in_model_contradicts_no_adapter(
    tested: RecordedGateway, headers: dict[str, str]
) -> None:
    """It is a device's as often as another server's adapter; with an adapter in the body, that one answers."""
    assert tested.send(TEXT | {"model": "otter"}, headers).status == 200
    assert tested.engine.asked[-1]["model"].startswith("adapters/otter/")
    assert "name the adapter in" in tested.refusal(TEXT, headers)


def test_metadata_are_as_long_as_openais(tested: RecordedGateway) -> None:
    """Sixteen keys of 64 characters with values of 512; they are searched on the event loop."""
    tags = {f"{number:064}": "=" * 512 for number in range(16)}
    assert tested.send(TEXT | {"metadata": tags}).status == 200
    assert "`metadata`: must have at most 9216" in tested.refusal(TEXT | {"metadata": tags | {"a": "b"}})


def test_metadata_may_name_a_model_beside_an_adapter(tested: RecordedGateway) -> None:
    for tags in ({"base_model": "org/base"}, {"model_name": "prod"}):
        assert tested.send(TEXT | {"model": "otter", "metadata": tags}).status == 200
        assert "name the adapter in" in tested.refusal(TEXT | {"metadata": tags})


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
        unknown(GenerateRequest.model_fields, OTHER_KEYS, ("messages", "prompt")),
        st.just(lambda pair: LORAX | pair),
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


#: What stands around a name and its value in custom attributes: pairs, JSON, Python's repr, JSON within JSON, URLs.
_BEFORE = st.sampled_from(
    ("", "accept_eula=true;", "a=b:", "a=1|", "x/", "https://h/x?", "{", "a={", "('", "[", " ", "_")
)
_QUOTE = st.sampled_from(("", '"', "'", '\\"', '\\\\\\"'))
_EQUALS = st.sampled_from(("=", ":", ": ", " = ", "==", ":=", "=>", "[]=", ")=", "%3D", "%3A", "= ="))
_AFTER = st.sampled_from(("", ";b=1", ",b=1", "|b", "}", "}}", "]", ")", "&b", " b", "/x=1", ":b"))


@st.composite
def attributes(draw: st.DrawFn, name: str, value: str) -> str:
    quote = draw(_QUOTE)
    parts = (draw(_BEFORE), quote, name, quote, draw(_EQUALS), quote, value, quote, draw(_AFTER))
    return "".join(parts)


@given(
    name=choices,
    value=st.text("abcdefghij0123456789./@-", min_size=1).filter(lambda value: value != BASE_MODEL),
    body=st.sampled_from([LORAX, CHAT, TEXT]),
    place=st.sampled_from(["header", "attribute", "json", "query", "metadata"]),
    data=st.data(),
)
def test_a_choice_beside_the_body_never_reaches_the_engine(
    tested: RecordedGateway, name: str, value: str, body: dict[str, Any], place: str, data: st.DataObject
) -> None:
    if place == "header":
        tested.refusal(body, {name: value})
    elif place == "attribute":
        tested.refusal(body, {ATTRIBUTES: data.draw(attributes(name, value))})
    elif place == "json":
        tested.refusal(body, {ATTRIBUTES: json.dumps({"trace": "a", name: value})})
    elif place == "query":
        tested.refusal(body, path=f"/invocations?{urlencode({name: value})}")
    elif "inputs" not in body:
        tested.refusal(body | {"metadata": {name: value}})
        tested.refusal(body | {"metadata": {"x": data.draw(attributes(name, value))}})
