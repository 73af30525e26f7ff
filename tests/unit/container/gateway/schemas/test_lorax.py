import json
from typing import Any

import pytest

from container.gateway.errors import GatewayError
from container.gateway.schemas.lorax import GenerateRequest, read_generate_request
from container.gateway.schemas.parsing import read_json


def read(body: dict[str, Any]) -> GenerateRequest:
    return read_generate_request(read_json(json.dumps(body).encode()), max_new_tokens=1024)


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


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": "hi", "adapter_id": "otter"},
        {"inputs": "hi", "model": "otter"},
        {"inputs": "hi", "parameters": {"model": "otter"}},
        {"inputs": "hi", "parameters": {"adapter": "otter"}},
    ],
)
def test_an_adapter_in_the_wrong_place_is_not_the_base_model(body: dict[str, Any]) -> None:
    assert "parameters.adapter_id" in refusal(body).message


def test_unknown_keys_are_ignored() -> None:
    assert read({"inputs": "hi", "extra": 1, "parameters": {"apply_chat_template": True}}).inputs == "hi"


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
