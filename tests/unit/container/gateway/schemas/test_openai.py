"""OpenAI's schemas, as far as this endpoint accepts them."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from container.gateway.errors import GatewayError
from container.gateway.schemas.lorax import GenerateRequest
from container.gateway.schemas.openai import OTHER_FIELDS, ChatRequest, TextRequest
from container.gateway.schemas.parsing import Reader

READER = Reader(base_model="tiny-mistral", max_new_tokens=100)
MESSAGES = [{"role": "user", "content": "my secret"}]


def chat(**fields: Any) -> ChatRequest:
    request = READER.chat({"model": "otter", "messages": MESSAGES} | fields)
    assert isinstance(request, ChatRequest)
    return request


def text(**fields: Any) -> TextRequest:
    request = READER.text({"model": "otter", "prompt": "my secret"} | fields)
    assert isinstance(request, TextRequest)
    return request


def refusal(read: Any, **fields: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        read(**fields)
    assert (caught.value.status, caught.value.error_type) == (422, "validation")
    assert "secret" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("read", [chat, text])
@pytest.mark.parametrize("model", ["", None, "tiny-mistral", "__base_model__"])
def test_these_names_mean_the_base_model(read: Any, model: str | None) -> None:
    assert read(model=model).adapter is None


@pytest.mark.parametrize("read", [chat, text])
def test_a_model_is_an_adapter(read: Any) -> None:
    assert read(model="team/otter@0123456789abcdef").adapter == "team/otter@0123456789abcdef"


@pytest.mark.parametrize("read", [chat, text])
@pytest.mark.parametrize(
    "field",
    [
        # what would reach past the endpoint, or have another engine do it
        "adapter_source", "api_token", "lora_request", "chat_template", "documents", "mm_processor_kwargs",
        "kv_transfer_params", "vllm_xargs", "cache_salt", "priority", "request_id", "guided_json",
        # what OpenAI has and this endpoint does not
        "suffix", "best_of", "audio", "modalities", "functions", "web_search_options", "temprature",
    ],
)  # fmt: skip
def test_a_field_that_is_not_known_is_refused_by_name(read: Any, field: str) -> None:
    assert f"`{field}` " in refusal(read, **{field: "my secret"}).message.replace("`:", "` ")


@pytest.mark.parametrize("read", [chat, text])
def test_what_openai_keeps_books_with_is_taken_and_not_looked_at(read: Any) -> None:
    assert read(user="me", metadata={"a": "b"}, store=False, service_tier="auto").adapter == "otter"


@pytest.mark.parametrize("read", [chat, text])
@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 0}, {"max_tokens": 101}, {"temperature": -0.1}, {"top_p": 0}, {"top_p": 1.1},
        {"n": 0}, {"n": 9}, {"stop": ["a", "b", "c", "d", "e"]}, {"stop": ""}, {"stop": [""]},
        {"seed": -1}, {"presence_penalty": 3}, {"frequency_penalty": -3}, {"stream": "yes"},
        {"stream_options": {"include_obfuscation": True}}, {"logit_bias": {"1": "a"}}, {"model": 7},
        {"logit_bias": {"-1": 1}}, {"logit_bias": {" " * 30_000: 1}}, {"logit_bias": {"1" * 10: 1}},
        {"logit_bias": {"1\n": 1}}, {"logit_bias": {"١": 1}},
    ],
)  # fmt: skip
def test_values_out_of_range_are_422_and_named(read: Any, fields: dict[str, Any]) -> None:
    assert next(iter(fields)) in refusal(read, **fields).message


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "image_url", "image_url": {"url": "http://169.254.169.254/my secret"}}],
        [{"type": "input_audio", "input_audio": {"data": "my secret"}}],
        [{"type": "text", "text": "a", "url": "my secret"}],
        {"type": "text"},
        7,
    ],
)
def test_content_is_text(content: Any) -> None:
    refusal(chat, messages=[{"role": "user", "content": content}])


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": [1] * 1_000_000}]},
        {"messages": [1] * 1_000_000},
        {"messages": [{"role": "user"}] * 100_000},
        {"tools": [1] * 1_000_000},
        {"logit_bias": {str(number): 1.0 for number in range(100_000)}},
        {str(number): 1 for number in range(100_000)},
    ],
    ids=["parts", "messages", "empty messages", "tools", "logit_bias", "fields"],
)
def test_a_long_list_does_not_keep_the_event_loop(fields: dict[str, Any]) -> None:
    began = time.process_time()
    refusal(chat, **fields)
    # Without a limit it takes seconds; /ping has to answer within two.
    assert time.process_time() - began < 1


@pytest.mark.parametrize("read", [chat, text])
@pytest.mark.parametrize("path", OTHER_FIELDS)
def test_a_value_that_changes_nothing_is_taken_and_another_one_is_refused(read: Any, path: str) -> None:
    *outer, name = path.split(".")

    def body(value: Any) -> dict[str, Any]:
        return {outer[0]: {name: value}} if outer else {name: value}

    for value in OTHER_FIELDS[path].neutral or ():
        assert read(**body(value)).model_dump(exclude={"stream_options"}) == read().model_dump(
            exclude={"stream_options"}
        )
    assert refusal(read, **body("my secret")).message.endswith(f"`{path}`: {OTHER_FIELDS[path].remedy}")


def test_the_documented_fields_that_change_nothing_are_these() -> None:
    page = (Path(__file__).parents[5] / "docs" / "requests.md").read_text()
    table = page.partition("| field | value |\n|---|---|\n")[2].partition("\n\n")[0]
    documented: dict[str, Any] = {}
    for row in table.splitlines():
        names, value = row.strip("|").split(" | ")
        documented |= dict.fromkeys(re.findall(r"`([^`]+)`", names), (json.loads(value.strip("` ")),))
    assert documented == {name: key.neutral for name, key in OTHER_FIELDS.items() if key.neutral}


@pytest.mark.parametrize("read", [chat, text])
def test_a_null_among_the_biases_is_not_set(read: Any) -> None:
    assert read(logit_bias={"1": None, "2": 1}).logit_bias == {"2": 1}


def test_text_in_parts_is_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert chat(messages=[{"role": "user", "content": parts}]).messages[0].text == "ab"


@pytest.mark.parametrize("messages", [[], None, "hi", [{"content": "hi"}], [{"role": "user", "text": "hi"}]])
def test_messages_have_a_role_and_are_at_least_one(messages: Any) -> None:
    assert "messages" in refusal(chat, messages=messages).message


@pytest.mark.parametrize("prompt", ["", ["a", "b"], [1, 2], None])
def test_a_prompt_is_one_text(prompt: Any) -> None:
    assert "`prompt" in refusal(text, prompt=prompt).message


def test_the_newer_name_of_the_token_limit_counts() -> None:
    assert chat(max_tokens=5, max_completion_tokens=7).new_tokens(50) == 7
    assert chat(max_tokens=5).new_tokens(50) == 5
    assert chat().new_tokens(50) == 50
    assert "max_completion_tokens" in refusal(chat, max_completion_tokens=101).message


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"inputs": "hi"}, GenerateRequest),
        ({"messages": MESSAGES}, ChatRequest),
        ({"prompt": "hi"}, TextRequest),
    ],
)
def test_the_schema_is_recognized_by_its_mandatory_field(body: dict[str, Any], kind: type) -> None:
    assert type(READER.any(body)) is kind


@pytest.mark.parametrize("body", [[], "inputs", None, 7, '{"inputs": "encoded twice"}'])
def test_a_body_is_an_object(body: Any) -> None:
    with pytest.raises(GatewayError, match="the body must be an object: encode it as JSON once"):
        READER.any(body)


@pytest.mark.parametrize("body", [{}, {"inputs": "a", "prompt": "b"}, {"model": "otter"}, {"inputs": None}])
def test_a_body_with_none_of_them_or_two_is_422(body: Any) -> None:
    with pytest.raises(GatewayError, match="`inputs`") as caught:
        READER.any(body)
    assert caught.value.status == 422
