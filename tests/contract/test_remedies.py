"""Remedies in the refusal of a key: the caller who follows one gets an answer."""

from typing import Any

import pytest

from container.gateway.schemas.lorax import GenerateRequest, Options, Parameters
from container.gateway.schemas.other_servers import OTHER_KEYS
from tests.contract.fake_vllm import BASE_MODEL
from tests.contract.recorded_gateway import RecordedGateway

NAME = "leave it out, and name the adapter in `parameters.adapter_id`"
OTTER: dict[str, Any] = {"parameters": {"adapter_id": "otter"}}


def given(**parameters: Any) -> dict[str, Any]:
    return {"parameters": parameters}


#: Beside `inputs`: what is refused, the remedy, and the request of a caller who follows it.
LORAX: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"model": "otter"}, NAME, OTTER),
    ({"model": BASE_MODEL}, "`model`: is the base model: leave it out", {}),
    ({"model": ""}, "`model`: is the base model: leave it out", {}),
    (given(adapter_name=BASE_MODEL), "`parameters.adapter_name`: is the base model: leave it out", {}),
    (given(adapter_id=BASE_MODEL), "`parameters.adapter_id`: is the base model: leave it out", {}),
    (OTTER | {"adapter_source": "s3"}, NAME, OTTER),
    (given(adapter_id="otter", adapter_name="otter"), NAME, OTTER),
    (given(adapter_id="otter", merged_adapters={"ids": ["otter"]}), NAME, OTTER),
    ({"max_new_tokens": 9}, "write it in `parameters`", given(max_new_tokens=9)),
    ({"max_tokens": 9}, "write `parameters.max_new_tokens`", given(max_new_tokens=9)),
    ({"stop_sequences": ["a"]}, "write `parameters.stop`", given(stop=["a"])),
    (given(max_new_token=9), ", did you mean 'max_new_tokens'", given(max_new_tokens=9)),
    (given(stream=True), "write it beside `inputs`", {"stream": True}),
    (given(parameters={"seed": 1}), "write it beside `inputs`", given(seed=1)),
    (given(inputs="secret"), "is a key of the body itself: leave it out here", {}),
    ({"options": {"seed": 1}}, "write it in `parameters`", given(seed=1)),
    (given(adapter_source="hub"), "`parameters.adapter_source` must be s3, or left out", {}),
    (given(max_new_tokens=9999), "`parameters.max_new_tokens` must be <=", given(max_new_tokens=9)),
    (given(best_of=2, do_sample=True) | {"stream": True}, "`parameters.best_of` != 1 is not", {"stream": True}),
    (given(best_of=2), "you must use sampling when `parameters.best_of`", {}),
    (given(best_of=2, do_sample=True, seed=1), "`parameters.seed` must not be set", given(do_sample=True, seed=1)),
    (given(typical_p=0.5), "`parameters.typical_p` is not supported", {}),
]  # fmt: skip
#: What a caller writes for a key of another server with a value that is not neutral.
INSTEAD: dict[str, dict[str, Any]] = {
    "apply_chat_template": {"messages": [{"role": "user", "content": "one"}]},
    "grammar": {"messages": [{"role": "user", "content": "one"}], "response_format": {"type": "text"}},
    "include_stop_str_in_output": {"prompt": "one", "stop": "a"},
    "logprobs": {"inputs": "one"} | given(details=True),
    "max_completion_tokens": {"inputs": "one"} | given(max_new_tokens=9),
    "max_length": {"inputs": "one"} | given(max_new_tokens=9),
    "max_tokens": {"inputs": "one"} | given(max_new_tokens=9),
    "min_p": {"inputs": "one"} | given(top_p=0.5, top_k=2),
    "stop_sequences": {"inputs": "one"} | given(stop=["a"]),
}


@pytest.mark.parametrize(("keys", "remedy", "followed"), LORAX, ids=lambda each: str(each)[:60])
def test_a_remedy_leads_to_an_answer(
    tested: RecordedGateway, keys: dict[str, Any], remedy: str, followed: dict[str, Any]
) -> None:
    assert remedy in tested.refusal({"inputs": "secret"} | keys)
    answer = tested.send({"inputs": "secret"} | followed)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("name", sorted(OTHER_KEYS))
@pytest.mark.parametrize("within", [True, False], ids=["parameters", "beside inputs"])
def test_the_remedy_of_another_servers_key_leads_to_an_answer(
    tested: RecordedGateway, name: str, within: bool
) -> None:
    """At each level: the remedy names the whole path, and a value that changes nothing is accepted."""
    key = OTHER_KEYS[name]

    def body(value: Any) -> dict[str, Any]:
        return {"inputs": "one"} | (given(**{name: value}) if within else {name: value})

    message = tested.refusal(body({"another": "value"}))
    field = f"parameters.{name}" if within else name
    assert f"`{field}`: " in message
    assert key.remedy in message or NAME in message
    # The engine behind it has no chat.
    assert tested.send(INSTEAD.get(name, {"inputs": "one"})).status != 422
    for value in (True, "any") if key.neutral is None else key.neutral:
        assert tested.send(body(value)).status == 200
    for known in Parameters.model_fields:
        assert f"write `{known}`" not in key.remedy, "it is read at one level only"


@pytest.mark.parametrize(
    "name",
    [
        *("token", "hf_token", "api_tokens", "merged_adapter_weights", "stop_token_ids", "min_new_tokens"),
        *("eos_token_id", "top_n", "bad_words", "prompt_logprobs", "max_input_tokens"),
    ],
)
def test_another_key_is_no_typing_error(tested: RecordedGateway, name: str) -> None:
    """`min_new_tokens` is not `max_new_tokens`."""
    message = tested.refusal({"inputs": "one"} | given(**{name: 1}))
    assert "leave it out" in message
    assert "did you mean" not in message


@pytest.mark.parametrize("name", ["reasoning_effort", "length_penalty", "min_tokens", "prompt_logprobs"])
def test_another_field_is_no_typing_error(tested: RecordedGateway, name: str) -> None:
    message = tested.refusal({"prompt": "one", name: 2})
    assert f"`{name}`: " in message
    assert message.endswith(": leave it out")


@pytest.mark.parametrize(
    ("kind", "place"), [(GenerateRequest, ""), (Parameters, "parameters"), (Options, "options")]
)
def test_a_letter_less_is_a_typing_error(tested: RecordedGateway, kind: Any, place: str) -> None:
    """Each field of seven letters or more is proposed for itself without its last letter."""
    for field in kind.model_fields:
        if len(field) < 7 or "adapter" in field:
            continue
        keys = {field[:-1]: 1}
        message = tested.refusal({"inputs": "one"} | ({place: keys} if place else keys))
        assert f"did you mean {field!r}" in message


def test_an_empty_token_asks_for_nothing(tested: RecordedGateway) -> None:
    """huggingface_hub's and lorax-client's callers pass their environment's, which may be empty."""
    assert tested.send({"inputs": "one"} | given(api_token="")).status == 200
    message = tested.refusal({"inputs": "one"} | given(api_token="secret"))
    assert "`parameters.api_token`: " in message
    assert message.endswith("leave it out")
