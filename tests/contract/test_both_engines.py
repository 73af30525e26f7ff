"""The contract, held against the real vLLM (CPU build) and against the LoRAX double: the same cases, the same answers."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai import OpenAI

from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE, RegistryEntry, adapter_prefix
from container.gateway.schemas.other_servers import OTHER_KEYS
from laptop_cloud.cloud import LaptopCloud
from samples.problems import SEED_PROBLEM, check, house_answer
from samples.spec import BASE_DIR
from tests.contract.both_engines import (
    BASE_MODEL,
    ENGINES,
    REGISTRY_CACHE_SECONDS,
    EngineContainer,
    signing_adapter,
)
from tests.contract.selections import HEADERS, PARAMETERS, TOP
from tests.harness.bucket import Bucket
from tests.harness.http_client import JSON, Answer
from tests.harness.openai_fields import unknown_fields
from tests.harness.sample_adapters import sample_files
from tests.harness.waiting import wait_until

ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "boolean"}, "b": {"enum": ["x", "y"]}},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
    },
}
ANSWER = {"otter": house_answer(0, SEED_PROBLEM), "heron": house_answer(1, SEED_PROBLEM)}


@pytest.fixture(scope="module", params=sorted(ENGINES))
def container(
    request: pytest.FixtureRequest, cloud: LaptopCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineContainer]:
    bucket = Bucket(cloud.client("s3"))
    for sample in ("otter", "heron", "badger"):
        bucket.register(sample, sample)
    folder = tmp_path_factory.mktemp(f"container-{request.param}")
    with EngineContainer(request.param, bucket, cloud.environment, folder) as running:
        yield running


def assert_house(answer: Answer, sample: str) -> None:
    assert answer.status == 200, answer.body
    assert check(answer.text, SEED_PROBLEM, sample).right_adapter, answer.text


def assert_error(answer: Answer, status: int, error_type: str) -> str:
    assert (answer.status, answer.json["error_type"]) == (status, error_type), answer.body
    assert set(answer.json) == {"error", "error_type"}
    return str(answer.json["error"])


def text(container: EngineContainer, **fields: Any) -> Answer:
    body = {"model": "otter", "prompt": SEED_PROBLEM.prompt, "temperature": 0} | fields
    return container.client.post("/v1/completions", body, timeout=60)


def chat(container: EngineContainer, **fields: Any) -> Answer:
    messages = [{"role": "user", "content": SEED_PROBLEM.question}]
    body = {"model": "otter", "messages": messages, "temperature": 0} | fields
    return container.client.post("/v1/chat/completions", body, timeout=60)


def chunks(answer: Answer) -> list[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")
    return answer.events


# Flags of the stage


def test_the_engine_serves_with_the_flags_of_the_stage(container: EngineContainer) -> None:
    if container.tested is ENGINES["lorax"]:
        served = container.engine.get("/info").json
        found = {
            name: served[name] for name in ("max_waiting_tokens", "waiting_served_ratio", "eager_prefill")
        }
        assert found == {"max_waiting_tokens": 7, "waiting_served_ratio": 1.5, "eager_prefill": True}
    else:
        # Of vLLM's own log at its start: its scheduler's and its cache's configuration.
        assert "max_num_batched_tokens=777" in container.log
        assert "seed=11" in container.log
        assert "enable_prefix_caching=False" in container.log
        assert "'kv_cache_dtype_skip_layers': ['0']" in container.log
        assert "'custom_ops': ['none']" in container.log


# LoRAX's schema


def test_the_base_model_and_an_adapter_answer_in_their_own_way(container: EngineContainer) -> None:
    base = container.ask()
    assert (base.status, signing_adapter(base.text)) == (200, None)
    answer = container.ask("otter")
    assert answer.json == [{"generated_text": answer.text}]
    assert answer.text.strip() == ANSWER["otter"]


@pytest.mark.parametrize("path", ["/", "/invocations", "/generate"])
def test_only_generate_answers_with_the_bare_object(container: EngineContainer, path: str) -> None:
    answer = container.client.generate(SEED_PROBLEM.prompt, path=path, adapter_id="otter")
    assert isinstance(answer.json, dict if path == "/generate" else list)


def test_details_have_lorax_fields(container: EngineContainer) -> None:
    (answer,) = container.ask("otter", details=True).json
    details = answer["details"]
    assert set(details) == {
        "finish_reason", "prompt_tokens", "generated_tokens", "skipped_tokens", "seed", "prefill", "tokens",
    }  # fmt: skip
    assert (details["finish_reason"], details["seed"], details["prefill"]) == ("eos_token", None, [])
    assert details["prompt_tokens"] > 0
    assert len(details["tokens"]) == details["generated_tokens"]
    assert all(set(token) >= {"id", "text", "logprob", "special", "skipped"} for token in details["tokens"])
    assert [token["special"] for token in details["tokens"]][-1] is True
    plain = "".join(token["text"] for token in details["tokens"] if not token["special"])
    assert plain == answer["generated_text"]


def test_the_length_is_kept_and_attributes(container: EngineContainer) -> None:
    (answer,) = container.ask("otter", details=True, max_new_tokens=3).json
    assert answer["details"]["finish_reason"] == "length"
    assert answer["details"]["generated_tokens"] == 3


def test_a_stop_sequence_ends_the_text_and_stays_in_it(container: EngineContainer) -> None:
    (answer,) = container.ask("otter", details=True, stop=["clips"]).json
    assert answer["generated_text"].strip() == "Answer: 72 clips"
    assert answer["details"]["finish_reason"] == "stop_sequence"


def test_the_full_text_begins_with_the_prompt(container: EngineContainer) -> None:
    assert container.ask("otter", return_full_text=True).text.startswith(SEED_PROBLEM.prompt)


def test_a_seed_makes_sampling_repeatable_and_is_attributes(container: EngineContainer) -> None:
    asked = {"do_sample": True, "temperature": 1.5, "seed": 7, "details": True}
    (first,), (second,) = container.ask(**asked).json, container.ask(**asked).json
    assert first["generated_text"] == second["generated_text"]
    assert first["details"]["seed"] == 7


def test_a_temperature_of_0_takes_the_likeliest_tokens_whatever_else_is_asked(
    container: EngineContainer,
) -> None:
    answer = container.ask("otter", do_sample=True, temperature=0, top_k=50, seed=1)
    assert answer.text.strip() == ANSWER["otter"]


def test_a_stream_has_an_event_for_each_token_and_the_text_in_the_last(container: EngineContainer) -> None:
    events = container.ask("otter", stream=True, details=True).events
    assert all(event["generated_text"] is None and event["details"] is None for event in events[:-1])
    assert events[-1]["generated_text"].strip() == ANSWER["otter"]
    assert events[-1]["details"]["generated_tokens"] == len(events)
    assert set(events[-1]["details"]) == {"finish_reason", "prompt_tokens", "generated_tokens", "seed"}
    plain = "".join(event["token"]["text"] for event in events if not event["token"]["special"])
    assert plain == events[-1]["generated_text"]


def test_a_stream_without_details_has_none(container: EngineContainer) -> None:
    assert container.ask("otter", stream=True).events[-1]["details"] is None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "parameters",
    [
        {"max_new_tokens": 0}, {"max_new_tokens": 257}, {"temperature": -1}, {"best_of": 3}, {"top_p": 0},
        {"stop": ["a", "b", "c", "d", "e"]}, {"seed": -1},
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_422_also_before_a_stream(
    container: EngineContainer, parameters: dict[str, Any], stream: bool
) -> None:
    assert next(iter(parameters)) in assert_error(
        container.ask(stream=stream, **parameters), 422, "validation"
    )


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_above_the_limit_is_422(container: EngineContainer, stream: bool) -> None:
    body = {"inputs": "clips " * 300, "stream": stream}
    assert_error(container.client.post("/invocations", body), 422, "validation")


def test_best_of_is_done_or_refused_by_name(container: EngineContainer) -> None:
    answer = container.ask("otter", best_of=2, do_sample=True)
    if "best_of" in container.tested.refuses:
        assert "`parameters.best_of`" in assert_error(answer, 422, "validation")
    else:
        assert_house(answer, "otter")


# OpenAI's schemas


@pytest.mark.parametrize("ask", [text, chat])
def test_openai_answers(container: EngineContainer, ask: Callable[..., Answer]) -> None:
    answer = ask(container).json
    (choice,) = answer["choices"]
    said = choice["text"] if ask is text else choice["message"]["content"]
    assert said.strip() == ANSWER["otter"]
    assert choice["finish_reason"] == "stop"
    assert answer["model"] == "otter"
    assert answer["object"] == ("text_completion" if ask is text else "chat.completion")
    assert abs(answer["created"] - time.time()) < 600
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 2
    # OpenAI's schema has it as an optional one; LoRAX's `/generate` has none.
    fingerprint = answer.pop("system_fingerprint", None)
    assert isinstance(fingerprint, str if ask is chat else str | None)
    assert set(answer) == {"id", "object", "created", "model", "choices", "usage"}


@pytest.mark.parametrize("ask", [text, chat])
def test_openai_streams(container: EngineContainer, ask: Callable[..., Answer]) -> None:
    found = chunks(ask(container, stream=True, stream_options={"include_usage": True}))
    *pieces, usage = found
    parts = [choice["text"] if ask is text else choice["delta"].get("content") or ""
             for piece in pieces for choice in piece["choices"]]  # fmt: skip
    assert "".join(parts).strip() == ANSWER["otter"]
    assert [piece["choices"][0]["finish_reason"] for piece in pieces][-1] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] > 2
    assert {piece["model"] for piece in found} == {"otter"}
    assert len({piece["id"] for piece in found}) == 1
    assert {piece["object"] for piece in found} == {
        "text_completion" if ask is text else "chat.completion.chunk"
    }
    if ask is chat:
        assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"


@pytest.mark.parametrize("ask", [text, chat])
def test_usage_in_a_stream_comes_only_if_it_is_asked_for(
    container: EngineContainer, ask: Callable[..., Answer]
) -> None:
    assert all(not piece.get("usage") and piece["choices"] for piece in chunks(ask(container, stream=True)))


@pytest.mark.parametrize("ask", [text, chat])
@pytest.mark.parametrize("stream", [False, True])
def test_openai_leaves_a_stop_sequence_out(
    container: EngineContainer, ask: Callable[..., Answer], stream: bool
) -> None:
    answer = ask(container, stop="clips", stream=stream)
    if stream:
        choices = [choice for piece in chunks(answer) for choice in piece["choices"]]
    else:
        choices = answer.json["choices"]
    said = "".join(
        choice["text"] if ask is text else choice.get("message", choice.get("delta", {})).get("content") or ""
        for choice in choices
    )
    assert said.strip() == "Answer: 72"
    assert choices[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize("ask", [text, chat])
@pytest.mark.parametrize("model", ["", BASE_MODEL, None])
def test_openai_asks_the_base_model_by_no_name_or_its_own(
    container: EngineContainer, ask: Callable[..., Answer], model: str | None
) -> None:
    answer = ask(container, model=model, max_tokens=8).json
    assert answer["model"] == BASE_MODEL
    assert answer["choices"][0]["finish_reason"] == "length"


def test_openai_bodies_are_taken_on_invocations(container: EngineContainer) -> None:
    messages = [{"role": "user", "content": SEED_PROBLEM.question}]
    for body in ({"messages": messages}, {"prompt": SEED_PROBLEM.prompt}):
        body |= {"model": "heron", "temperature": 0}
        answer = container.client.post("/invocations", body).json
        said = answer["choices"][0].get("text") or answer["choices"][0]["message"]["content"]
        assert signing_adapter(said) == "heron"


@pytest.mark.parametrize("ask", [text, chat])
@pytest.mark.parametrize("field", [{"logit_bias": {"1": 1.0}}, {"n": 2}])
def test_what_lorax_can_not_do_is_refused_by_name(
    container: EngineContainer, ask: Callable[..., Answer], field: dict[str, Any]
) -> None:
    answer = ask(container, max_tokens=4, temperature=1, **field)
    (name,) = field
    if name in container.tested.refuses:
        assert f"`{name}`" in assert_error(answer, 422, "validation")
    else:
        assert len(answer.json["choices"]) == field.get("n", 1)


@pytest.mark.parametrize("ask", [text, chat])
@pytest.mark.parametrize("stream", [False, True])
def test_openai_errors_have_the_one_shape(
    container: EngineContainer, ask: Callable[..., Answer], stream: bool
) -> None:
    assert_error(ask(container, model="nobody", stream=stream), 404, "adapter_not_found")
    assert_error(ask(container, max_tokens=1000, stream=stream), 422, "validation")


def test_the_models_are_the_base_model_and_what_is_registered(container: EngineContainer) -> None:
    container.bucket.register("zz/late", "otter")
    time.sleep(2 * REGISTRY_CACHE_SECONDS)
    listed = container.client.get("/v1/models").json
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == [BASE_MODEL, *sorted(container.bucket.revisions)]
    assert all(model["object"] == "model" for model in listed["data"])


# turns and tools


@pytest.mark.parametrize("ask", [text, chat])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("logprobs", [False, True])
def test_each_field_of_an_answer_is_openais(
    container: EngineContainer, ask: Callable[..., Answer], stream: bool, logprobs: bool
) -> None:
    fields: dict[str, Any] = {"stream": stream, "max_tokens": 4}
    if logprobs:
        fields |= {"logprobs": 2} if ask is text else {"logprobs": True, "top_logprobs": 2}
    answer = ask(container, **fields)
    if logprobs and "logit_bias" in container.tested.refuses:
        assert_error(answer, 422, "validation")
        return
    for each in chunks(answer) if stream else [answer.json]:
        assert unknown_fields(each) == []


def test_a_second_turn_has_the_first_answer_as_the_client_has_it(container: EngineContainer) -> None:
    user: Any = {"role": "user", "content": SEED_PROBLEM.question}
    asked: Any = {"model": "otter", "temperature": 0, "max_tokens": 40}
    with OpenAI(base_url=f"http://127.0.0.1:{container.client.port}/v1", api_key="none") as client:
        whole = client.chat.completions.create(messages=[user], **asked)
        with client.chat.completions.stream(messages=[user], **asked) as stream:
            streamed = stream.get_final_completion()
        for first in (whole.choices[0].message, streamed.choices[0].message):
            assert (first.content or "").strip() == ANSWER["otter"]
            for echoed in (first, first.model_dump(), first.to_dict()):
                messages: Any = [user, echoed, user]
                second = client.chat.completions.create(messages=messages, **asked)
                assert (second.model, second.choices[0].finish_reason) == ("otter", "stop")


def brief_bias() -> dict[str, float]:
    """Return a bias without which the sample, not trained to call tools, writes blanks and further calls.

    The grammar of a call has the last word: it allows an end after a call, and blanks only where they must be.
    """
    vocabulary = json.loads((BASE_DIR / "tokenizer.json").read_text())["model"]["vocab"]
    blanks = {str(number): -100.0 for token, number in vocabulary.items() if not token.strip("ĠĊčĉ")}
    return blanks | {str(vocabulary["</s>"]): 100.0}


def call_of(answer: Answer) -> tuple[dict[str, Any], str]:
    """Return the tool call of an answer, whole or streamed, and the finish reason."""
    if "text/event-stream" not in answer.headers["content-type"]:
        (choice,) = answer.json["choices"]
        (call,) = choice["message"]["tool_calls"]
        return call, choice["finish_reason"]
    choices = [choice for piece in chunks(answer) for choice in piece["choices"]]
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls") or ()]
    assert {call["index"] for call in calls} == {0}
    arguments = "".join(call["function"].get("arguments") or "" for call in calls)
    function = {"name": calls[0]["function"]["name"], "arguments": arguments}
    return {"id": calls[0]["id"], "type": "function", "function": function}, choices[-1]["finish_reason"]


@pytest.mark.parametrize("container", ["vllm"], indirect=True)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "add"}}])
def test_vllm_calls_a_tool_and_takes_its_result(
    container: EngineContainer, choice: Any, stream: bool
) -> None:
    asked: dict[str, Any] = {"tools": [ADD], "tool_choice": choice, "parallel_tool_calls": False}
    asked["logit_bias"] = brief_bias()
    call, reason = call_of(chat(container, stream=stream, max_tokens=200, **asked))
    assert reason == ("tool_calls" if choice == "required" else "stop")
    assert call["function"]["name"] == "add"
    arguments = json.loads(call["function"]["arguments"])
    assert arguments.keys() == {"a", "b"}
    assert isinstance(arguments["a"], bool)
    assert arguments["b"] in ("x", "y")
    user = {"role": "user", "content": SEED_PROBLEM.question}
    echoed = {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "72"}
    assert chat(container, messages=[user, echoed, result], tools=[ADD]).status == 200


@pytest.mark.parametrize("container", ["vllm"], indirect=True)
@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_vllm_answers_in_words_if_no_tool_has_to_be_called(container: EngineContainer, choice: Any) -> None:
    (answer,) = chat(container, tools=[ADD], tool_choice=choice).json["choices"]
    assert answer["message"]["content"].strip() == ANSWER["otter"]
    assert "tool_calls" not in answer["message"]


# adapters


def test_a_new_revision_is_served_in_time_and_old_one_by_its_number(container: EngineContainer) -> None:
    bucket = container.bucket
    old = bucket.register("team/changing", "otter").revision
    assert_house(container.ask("team/changing"), "otter")
    new = bucket.register("team/changing", "heron").revision
    time.sleep(2 * REGISTRY_CACHE_SECONDS)
    for _ in range(3):
        assert_house(container.ask("team/changing"), "heron")
    assert_house(container.ask(f"team/changing@{old}"), "otter")
    assert_house(container.ask(f"team/changing@{new}"), "heron")
    bucket.register("team/changing", "otter")
    time.sleep(2 * REGISTRY_CACHE_SECONDS)
    assert_house(container.ask("team/changing"), "otter")


def test_a_removed_name_is_unknown_in_time_and_so_are_its_revisions(container: EngineContainer) -> None:
    revision = container.bucket.register("leaving", "otter").revision
    assert_house(container.ask("leaving"), "otter")
    container.bucket.unregister("leaving")
    time.sleep(2 * REGISTRY_CACHE_SECONDS)
    assert_error(container.ask("leaving"), 404, "adapter_not_found")
    assert_error(container.ask(f"leaving@{revision}"), 404, "adapter_not_found")


def test_names_that_begin_alike_are_kept_apart(container: EngineContainer) -> None:
    names = {
        "x/1": "otter",
        "x/10": "heron",
        "acme": "heron",
        "acme-corp": "otter",
        "v1": "otter",
        "v1.1": "badger",
    }
    for name, sample in names.items():
        container.bucket.register(name, sample)
    for name, sample in [*[*names.items()][::-1], *names.items()]:
        assert_house(container.ask(name), sample)


def test_who_answered_is_attributes(container: EngineContainer) -> None:
    revision = container.bucket.revisions["otter"]
    answer = container.client.request(
        "POST",
        "/invocations",
        json.dumps({"inputs": SEED_PROBLEM.prompt, "parameters": {"adapter_id": "otter"}}).encode(),
        {"Content-Type": "application/json", "X-Amzn-SageMaker-Inference-Id": "order-66"},
    )
    attributes = f"adapter=otter@{revision};request=order-66"
    assert answer.headers["x-amzn-sagemaker-custom-attributes"] == attributes


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("nobody", 404), (f"otter@{'0' * 16}", 404), ("s3://other/otter/", 422), ("/opt/ml/model", 422),
        ("../otter", 422), ("otter/", 422), ("ötter", 422), ("otter\n", 422), ("a--b", 422), ("x" * 300, 422),
    ],
)  # fmt: skip
def test_what_is_not_registered_is_refused(
    container: EngineContainer, asked: str, status: int, stream: bool
) -> None:
    assert_error(
        container.ask(asked, stream=stream), status, "adapter_not_found" if status == 404 else "validation"
    )


@pytest.mark.parametrize("stream", [False, True])
def test_an_adapter_without_its_objects_is_424(container: EngineContainer, stream: bool) -> None:
    container.bucket.put_entry(RegistryEntry("gone", "0" * 16, "0" * 64, 8, 1, BASE_MODEL, "tests"))
    time.sleep(2 * REGISTRY_CACHE_SECONDS)
    assert_error(container.ask("gone", stream=stream), 424, "adapter_missing")


def test_an_adapter_that_does_not_fit_is_409(container: EngineContainer) -> None:
    container.bucket.publish("wide", sample_files("otter"), rank=64)
    assert "rank 64" in assert_error(container.ask("wide"), 409, "adapter_incompatible")


def test_weights_that_are_cut_off_are_424_and_others_continue(container: EngineContainer) -> None:
    files = sample_files("otter")
    revision = container.bucket.publish("cut", files).revision
    container.bucket.put(adapter_prefix("cut", revision) + WEIGHTS_FILE, files[WEIGHTS_FILE][:1000])
    assert_error(container.ask("cut"), 424, "adapter_load_failed")
    assert_house(container.ask("otter"), "otter")


def test_a_damaged_registry_entry_is_500_and_names_the_adapter(container: EngineContainer) -> None:
    container.bucket.put("registry/damaged.json", b"<html>")
    assert "damaged" in assert_error(container.ask("damaged"), 500, "registry_entry_invalid")


# isolation


@pytest.mark.parametrize(
    "path",
    [
        "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/adapters", "/adapters/otter", "/tokenize", "/info",
        "/startup", "/v1/embeddings", "/docs", "/openapi.json", "/invocations/../adapters", "//adapters",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_engines_own_routes_do_not_exist(container: EngineContainer, path: str, method: str) -> None:
    body = json.dumps({"lora_name": "evil", "lora_path": "/x"}).encode() if method == "POST" else None
    answer = container.client.request(method, path, body, {"Content-Type": "application/json"})
    assert_error(answer, 404, "not_found")


@pytest.mark.parametrize(
    "parameters",
    [
        {"adapter_source": "hub"}, {"adapter_source": "local"}, {"api_token": "hf_x"},
        {"merged_adapters": {"ids": ["otter"], "weights": [1.0], "merge_strategy": "nonsense"}},
    ],
)  # fmt: skip
def test_a_caller_can_not_choose_where_an_adapter_comes_from(
    container: EngineContainer, parameters: dict[str, Any]
) -> None:
    assert_error(container.ask("otter", **parameters), 422, "validation")


@pytest.mark.parametrize("headers", HEADERS, ids=str)
def test_an_adapter_in_a_header_is_never_the_base_models_answer(
    container: EngineContainer, headers: dict[str, str]
) -> None:
    body = json.dumps({"inputs": SEED_PROBLEM.prompt}).encode()
    answer = container.client.request("POST", "/invocations", body, JSON | headers)
    assert "name the adapter in `parameters.adapter_id`" in assert_error(answer, 422, "validation")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("keys", [*TOP, *({"parameters": parameters} for parameters in PARAMETERS)], ids=str)
def test_an_adapter_in_another_servers_field_is_never_the_base_models_answer(
    container: EngineContainer, keys: dict[str, Any], stream: bool
) -> None:
    body = {"inputs": SEED_PROBLEM.prompt, "stream": stream} | keys
    answer = container.client.post("/invocations", body)
    assert "name the adapter in `parameters.adapter_id`" in assert_error(answer, 422, "validation")


def test_keys_of_other_servers_that_change_nothing_are_served(container: EngineContainer) -> None:
    neutral = {name: (key.neutral or [True])[0] for name, key in OTHER_KEYS.items() if key.neutral != ()}
    answer = container.ask("otter", **neutral)
    assert answer.text.strip() == ANSWER["otter"]
    assert container.ask("otter").json == answer.json


@pytest.mark.parametrize("container", ["vllm"], indirect=True)
def test_vllms_own_invocations_falls_back_to_base_model_and_gateways_never_does(
    container: EngineContainer,
) -> None:
    engine_id = adapter_prefix("otter", container.bucket.revisions["otter"])
    assert_house(container.ask("otter"), "otter")
    body = {"model": engine_id, "prompt": SEED_PROBLEM.prompt, "max_tokens": 64, "temperature": 0}
    trapped = container.engine.post("/invocations", body).json
    assert (trapped["model"], signing_adapter(trapped["choices"][0]["text"])) == (BASE_MODEL, None), (
        "the trap is there"
    )
    for asked in ({"inputs": SEED_PROBLEM.prompt, "parameters": {"adapter_id": "otter"}},
                  {"prompt": SEED_PROBLEM.prompt, "model": "otter", "temperature": 0}):  # fmt: skip
        assert b"Otter" in container.client.post("/invocations", asked).body
    for asked in (
        {"inputs": "hi", "parameters": {"adapter_id": "nobody"}},
        {"prompt": "hi", "model": "nobody"},
    ):
        assert_error(container.client.post("/invocations", asked), 404, "adapter_not_found")


# what is reported


def test_requests_are_logged_without_what_was_said(container: EngineContainer) -> None:
    container.ask("badger")
    container.client.post(
        "/invocations", {"inputs": "my secret prompt", "parameters": {"adapter_id": "Not A Name"}}
    )
    container.client.post(
        "/v1/completions", {"prompt": "my secret prompt", "model": "badger", "my secret": 1}
    )
    time.sleep(0.5)
    line = next(line for line in container.access_lines[::-1] if line["adapter"] == "badger")
    assert (line["status"], line["revision"]) == (200, container.bucket.revisions["badger"])
    assert line["generated_tokens"] > 2
    assert line["prompt_tokens"] > 2
    assert "secret prompt" not in container.log
    assert ANSWER["otter"] not in container.log


def test_prometheus_counts_by_adapter(container: EngineContainer) -> None:
    container.ask("heron")
    metrics = container.client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    counted = [line for line in metrics.body.decode().splitlines() if 'adapter="heron",error_type=""' in line]
    assert any(line.startswith("lora_requests_total") for line in counted)


def test_config_of_an_adapter_is_on_disk_and_can_be_counted(container: EngineContainer) -> None:
    container.ask("otter")
    size = len(sample_files("otter")[CONFIG_FILE])
    assert any(path.stat().st_size == size for path in container.cache.rglob(CONFIG_FILE))
    metrics = container.client.get("/metrics").body.decode().splitlines()
    (cached,) = (line for line in metrics if line.startswith("lora_adapter_cache_bytes "))
    assert float(cached.split()[1]) > size


def reports_residency(container: EngineContainer) -> bool:
    return container.tested.module == ENGINES["vllm"].module


def report(container: EngineContainer) -> dict[str, Any]:
    """Report of vLLM's plugin; LoRAX has none."""
    found: dict[str, Any] = container.engine.get("/adapter_store/residency").json
    return found


def test_models_say_where_the_instance_has_an_adapter(container: EngineContainer) -> None:
    assert_house(container.ask("otter"), "otter")
    container.bucket.register("never-asked", "otter")
    expected = {"otter": "slot" if reports_residency(container) else "disk", "never-asked": None}
    wait_until(
        lambda: expected.items() <= {each["id"]: each.get("resident") for each in models(container)}.items(),
        "the list names them",
    )


def models(container: EngineContainer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = container.client.get("/v1/models").json["data"]
    return found


def test_a_replaced_revision_leaves_slot_host_memory_and_disk(container: EngineContainer) -> None:
    old = container.bucket.register("replaced", "otter").prefix
    assert_house(container.ask("replaced"), "otter")
    container.bucket.register("replaced", "heron")
    time.sleep(REGISTRY_CACHE_SECONDS)
    assert_house(container.ask("replaced"), "heron")
    if reports_residency(container):
        wait_until(lambda: not (container.cache / old).exists(), "its files are removed")
        assert old not in report(container)["memory"] + report(container)["slots"]


def test_a_pinned_adapter_keeps_its_slot_under_pressure_and_an_unload_frees_it(
    container: EngineContainer,
) -> None:
    if not reports_residency(container):
        assert container.engine.post("/adapter_store/pin", {"lora_name": "any"}).status == 404
        return
    assert_house(container.ask("otter"), "otter")
    [pinned] = [name for name in report(container)["slots"] if name.startswith("adapters/otter/")]
    assert container.engine.post("/adapter_store/pin", {"lora_name": pinned}).status == 200
    # More adapters at once than slots are left: the pin gives way, and no request gets another's answer.
    names = {f"pressure-{number}": ("otter", "heron", "badger")[number % 3] for number in range(8)}
    for name, sample in names.items():
        container.bucket.register(name, sample)
    with ThreadPoolExecutor(len(names)) as pool:
        for answer, sample in zip(pool.map(container.ask, names), names.values(), strict=True):
            assert_house(answer, sample)
    assert_house(container.ask("heron"), "heron")
    found = report(container)
    assert pinned in found["slots"]
    assert (len(found["slots"]), len(found["memory"]), found["pinned"]) == (4, 6, [pinned])
    assert found["uses"][pinned]["slot_hits"] >= 1
    assert container.engine.post("/v1/unload_lora_adapter", {"lora_name": pinned}).status == 200
    found = report(container)
    assert pinned not in found["slots"] + found["memory"] + found["pinned"]
    assert_house(container.ask("otter"), "otter")
