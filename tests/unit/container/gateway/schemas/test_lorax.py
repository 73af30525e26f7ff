import json
import time
from typing import Any

import pytest

from container.gateway.errors import GatewayError
from container.gateway.schemas.lorax import GenerateRequest, Parameters, read_generate_request
from container.gateway.schemas.other_servers import OTHER_KEYS
from container.gateway.schemas.parsing import read_json


def read(body: dict[str, Any]) -> GenerateRequest:
    return read_generate_request(read_json(json.dumps(body).encode()), base_model="tiny", max_new_tokens=1024)


def refusal(body: dict[str, Any]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        read(body)
    return caught.value


def with_parameters(**parameters: Any) -> dict[str, Any]:
    return {"inputs": "hi", "parameters": parameters}


def test_a_prompt_alone_is_a_request() -> None:
    request = read({"inputs": "hi"})
    assert request.adapter is None
    assert not request.stream
    assert not request.parameters.samples
    assert request.new_tokens(default=256) == 256


def test_what_the_lorax_client_sends_by_default_is_accepted() -> None:
    nulls = ("adapter_source", "merged_adapters", "api_token", "best_of", "seed", "temperature", "top_k",
             "top_p", "truncate", "typical_p", "repetition_penalty", "return_full_text", "response_format",
             "return_k_alternatives")  # fmt: skip
    switches = {"do_sample": False, "watermark": False, "decoder_input_details": False, "details": True}
    request = read(
        with_parameters(adapter_id="otter", max_new_tokens=20, stop=[], **dict.fromkeys(nulls), **switches)
    )
    assert request.adapter == "otter"
    assert request.parameters.details


def test_a_null_is_a_key_that_is_not_set() -> None:
    nulls = dict.fromkeys((*Parameters.model_fields, *OTHER_KEYS, "adapters", "of_a_later_version"))
    request = read({"inputs": "hi", "parameters": nulls, "options": None, "stream": None, "adapters": None})
    assert request == read({"inputs": "hi"})


@pytest.mark.parametrize(
    ("body", "key", "remedy"),
    [
        ({"adapters": ["otter"]}, "adapters", "name the adapter in `parameters.adapter_id`"),
        ({"parameters": {"lora": "otter"}}, "parameters.lora", "name the adapter in `parameters.adapter_id`"),
        ({"options": {"model": "otter"}}, "options.model", "name the adapter in `parameters.adapter_id`"),
        ({"extra": 1, "loraId": "otter"}, "loraId", "name the adapter in `parameters.adapter_id`"),
        ({"max_new_tokens": 64}, "max_new_tokens", "write it in `parameters`"),
        ({"parameters": {"stream": True}}, "parameters.stream", "write it beside `inputs`"),
        (with_parameters(max_new_token=1), "parameters.max_new_token", "did you mean 'max_new_tokens'"),
        ({"input": "hi"}, "input", "did you mean 'inputs'"),
        (with_parameters(raw=True), "parameters.raw", "is not known here: leave it out"),
        ({"api_token": "secret"}, "api_token", "adapters come from the adapter store: leave it out"),
        (with_parameters(stop_sequences=["a"]), "parameters.stop_sequences", "write `parameters.stop`"),
        (with_parameters(n=2), "parameters.n", "a request has one answer"),
        (with_parameters(max_length=9), "parameters.max_length", "write `parameters.max_new_tokens`"),
        (with_parameters(apply_chat_template=True), "parameters.apply_chat_template", "send `messages`"),
        (with_parameters(**{"k" * 60: 1}), "parameters." + "k" * 50 + "…", "is not known here"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_refused_with_what_to_write(body: dict[str, Any], key: str, remedy: str) -> None:
    error = refusal({"inputs": "hi"} | body)
    assert (error.status, error.error_type) == (422, "validation")
    assert error.message.startswith(f"Input validation error: `{key}`: ")
    assert remedy in error.message


@pytest.mark.parametrize("name", sorted(OTHER_KEYS))
def test_a_key_of_another_server_is_accepted_with_a_value_that_changes_nothing(name: str) -> None:
    neutral = OTHER_KEYS[name].neutral
    for value in (True, "any") if neutral is None else neutral:
        assert read(with_parameters(**{name: value})) == read(with_parameters())
    if neutral is not None:
        assert OTHER_KEYS[name].remedy in refusal(with_parameters(**{name: {"another": "value"}})).message


def test_an_object_of_many_unknown_keys_is_refused_in_time() -> None:
    many = {f"k{number}".ljust(200, "x"): 1 for number in range(9000)}
    seconds = []
    for _ in range(3):
        started = time.process_time()
        assert "`parameters.k0" in refusal(with_parameters(**many)).message
        seconds.append(time.process_time() - started)
    # The least: a collection of the tests' own garbage may come in between.
    assert min(seconds) < 0.2


def test_hugging_faces_options_are_accepted_and_ignored() -> None:
    options = {"use_cache": False, "wait_for_model": True}
    assert read({"inputs": "hi", "options": options}).adapter is None
    assert "`options.use_cache`" in refusal({"inputs": "hi", "options": {"use_cache": "otter"}}).message


@pytest.mark.parametrize("adapter_id", [None, "", "__base_model__"])
def test_these_ids_mean_the_base_model(adapter_id: str | None) -> None:
    assert read(with_parameters(adapter_id=adapter_id)).adapter is None


@pytest.mark.parametrize(
    ("parameters", "samples"),
    [
        ({}, False),
        ({"temperature": 0}, False),
        ({"temperature": 1}, False),
        ({"top_p": 1}, False),
        ({"do_sample": True, "temperature": 0}, False),
        ({"do_sample": True}, True),
        ({"temperature": 0.7}, True),
        ({"top_k": 5}, True),
        ({"top_p": 0.9}, True),
        ({"typical_p": 0.9}, True),
    ],
)
def test_sampling_follows_lorax_rule(parameters: dict[str, Any], samples: bool) -> None:
    assert read(with_parameters(**parameters)).parameters.samples is samples


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_new_tokens": 0},
        {"max_new_tokens": 1025},
        {"max_new_tokens": 3.5},
        {"temperature": -1},
        {"repetition_penalty": 0},
        {"frequency_penalty": 2.1},
        {"presence_penalty": -2.1},
        {"top_k": 0},
        {"top_p": 0},
        {"top_p": 1.1},
        {"typical_p": 1},
        {"truncate": 0},
        {"seed": -1},
        {"best_of": 3},
        {"best_of": 2},
        {"best_of": 2, "do_sample": True, "seed": 1},
        {"return_k_alternatives": 0},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"stop": "a"},
        {"stop": [""]},
        {"max_new_tokens": 10**30},
        {"seed": 2**64},
        {"details": "yes"},
        {"adapter_id": 7},
    ],
)
def test_values_out_of_range_are_422(parameters: dict[str, Any]) -> None:
    error = refusal(with_parameters(**parameters))
    assert (error.status, error.error_type) == (422, "validation")
    assert error.message.startswith("Input validation error: ")
    assert next(iter(parameters)) in error.message


@pytest.mark.parametrize(
    "parameters",
    [
        {"adapter_source": "hub"},
        {"adapter_source": "local"},
        {"api_token": "hf_secret"},
        {"merged_adapters": {"ids": ["a"], "weights": [1]}},
    ],
)
def test_a_caller_can_not_choose_where_an_adapter_comes_from(parameters: dict[str, Any]) -> None:
    error = refusal(with_parameters(adapter_id="otter", **parameters))
    assert (error.status, error.error_type) == (422, "validation")
    assert "hf_secret" not in error.message


@pytest.mark.parametrize("source", ["s3", "S3", None])
def test_the_store_may_be_named_as_the_source(source: str | None) -> None:
    assert read(with_parameters(adapter_id="otter", adapter_source=source)).adapter == "otter"


@pytest.mark.parametrize("parameters", [{"decoder_input_details": True}, {"best_of": 2, "do_sample": True}])
def test_what_a_stream_can_not_carry_is_refused_in_a_stream_only(parameters: dict[str, Any]) -> None:
    assert read(with_parameters(**parameters)).inputs == "hi"
    assert refusal(with_parameters(**parameters) | {"stream": True}).status == 422


@pytest.mark.parametrize("body", [{}, {"inputs": ""}, {"inputs": ["a"]}, {"inputs": None}])
def test_inputs_must_be_one_text_that_is_not_empty(body: dict[str, Any]) -> None:
    error = refusal(body)
    assert error.status == 422
    assert "`inputs`" in error.message


def test_an_error_never_repeats_the_prompt() -> None:
    error = refusal({"inputs": "my secret", "parameters": {"stop": "my other secret"}})
    assert "secret" not in error.message


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b'{"inputs": "a"} x', b'{"top_p": NaN}', b"[" * 100_000]
)
def test_what_is_not_json_is_400(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        read_json(body)
    assert (caught.value.status, caught.value.error_type) == (400, "invalid_json")
