"""OpenAI's schemas in LoRAX's terms, and back."""

from typing import Any

import pytest

from container.gateway.errors import GatewayError
from container.gateway.request_context import Usage
from container.gateway.schemas.openai import ChatRequest, TextRequest
from container.lorax.chat import ChatAnswer, chat_body
from container.lorax.openai_answer import StopText
from container.lorax.refusals import refusal
from container.lorax.text import TextAnswer, generate_request

MESSAGES = [{"role": "user", "content": "hi"}]


def text(**fields: Any) -> TextRequest:
    return TextRequest.model_validate({"prompt": "hi", **fields})


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": MESSAGES, **fields})


def given(request: TextRequest) -> dict[str, Any]:
    return generate_request(request).parameters.model_dump(exclude_unset=True)


def event(word: str, *, reason: str | None = None, whole: str = "", special: bool = False) -> dict[str, Any]:
    details = {"finish_reason": reason, "prompt_tokens": 2, "generated_tokens": 3}
    return {
        "token": {"id": 1, "text": word, "logprob": -0.5, "special": special},
        "generated_text": whole if reason else None,
        "details": details if reason else None,
    }


def test_openai_samples_unless_the_temperature_is_0() -> None:
    assert given(text()) == {"do_sample": True, "details": True}
    assert given(text(temperature=0)) == {"do_sample": False, "details": True}
    assert given(text(temperature=0.5)) == {"do_sample": True, "details": True, "temperature": 0.5}


def test_a_single_stop_sequence_becomes_a_list() -> None:
    assert given(text(stop="END"))["stop"] == ["END"]
    assert chat_body(chat(stop="END"), None, default_new_tokens=9)["stop"] == ["END"]


@pytest.mark.parametrize("field", [{"logit_bias": {"1": 2.0}}, {"n": 2}])
def test_what_lorax_can_not_do_is_refused_by_name(field: dict[str, Any]) -> None:
    for refused in (
        lambda: generate_request(text(**field)),
        lambda: chat_body(chat(**field), None, default_new_tokens=9),
    ):
        with pytest.raises(GatewayError, match=f"`{next(iter(field))}`") as caught:
            refused()
        assert caught.value.status == 422


def test_base_model_is_an_empty_name_and_an_adapter_comes_from_s3() -> None:
    base = chat_body(chat(), None, default_new_tokens=9)
    assert (base["model"], base["max_tokens"], "adapter_source" in base) == ("", 9, False)
    body = chat_body(chat(max_tokens=4), "adapters/otter/0/", default_new_tokens=9)
    assert (body["model"], body["adapter_source"], body["max_tokens"]) == ("adapters/otter/0/", "s3", 4)


def test_the_stop_sequence_is_not_in_the_text() -> None:
    answer = TextAnswer(text(stop=["END", "!"]), "base", Usage(2, 3))
    found = answer.whole({"generated_text": "A. B END", "details": {"finish_reason": "stop_sequence"}})
    assert found["choices"] == [{"index": 0, "text": "A. B ", "logprobs": None, "finish_reason": "stop"}]
    assert found["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    assert (found["object"], found["model"]) == ("text_completion", "base")


def test_text_that_was_not_stopped_keeps_what_looks_like_a_stop_sequence() -> None:
    assert StopText(["END"]).cut("the END", stopped=False) == "the END"


@pytest.mark.parametrize("stopped", [True, False])
def test_a_stream_holds_back_what_may_be_a_stop_sequence(stopped: bool) -> None:
    subject = StopText(["\n\n"])
    pieces = [subject.feed(piece, last=False, stopped=False) for piece in ("A", "\n", "B", "\n")]
    pieces.append(subject.feed("\n" if stopped else "C", last=True, stopped=stopped))
    assert "".join(pieces) == ("A\nB" if stopped else "A\nB\nC")


def test_a_text_stream_becomes_openai_chunks() -> None:
    answer = TextAnswer(text(echo=True, stream_options={"include_usage": True}), "base", Usage(2, 3))
    events = [event("A"), event("B"), event("</s>", reason="eos_token", whole="AB", special=True)]
    chunks = [chunk for each in events for chunk in answer.chunks(each)]
    assert [chunk["choices"][0]["text"] for chunk in chunks[:-1]] == ["hiA", "B", ""]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None, None, "stop"]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 5)
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_a_chat_stream_becomes_openai_chunks() -> None:
    usage = Usage()
    answer = ChatAnswer(chat(model="otter", stop="!"), "base", usage)

    def lorax(text: str, reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": reason}
        counts = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        return {"id": "null", "choices": [choice], "usage": counts if reason else None}

    events = [lorax("A"), lorax("B"), lorax("!", "content_filter")]
    chunks = [chunk for each in events for chunk in answer.chunks(each)]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "AB"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-1] == "stop"
    assert {chunk["model"] for chunk in chunks} == {"otter"}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert (usage.prompt_tokens, usage.generated_tokens) == (5, 2)


@pytest.mark.parametrize("answer", [{}, {"choices": []}, {"choices": [{"finish_reason": "stop"}]}])
def test_an_answer_that_is_none_is_500(answer: dict[str, Any]) -> None:
    with pytest.raises(GatewayError) as caught:
        ChatAnswer(chat(), "base", Usage()).whole(answer)
    assert caught.value.status == 500


@pytest.mark.parametrize(
    ("words", "status", "error_type"),
    [
        ("No valid adapter config file found: tried None and None", 424, "adapter_missing"),
        ("No .safetensors weights found for model x", 424, "adapter_missing"),
        ("No local weights found in x with extension .bin", 424, "adapter_missing"),
        ("An error occurred (404) when calling the HeadObject operation: Not Found", 424, "adapter_missing"),
        ("An error occurred (403) when calling the HeadObject operation: Forbidden", 424, "adapter_load_failed"),
        ("Could not connect to the endpoint URL: \"https://x\"", 424, "adapter_load_failed"),
        ("Multiple models found for model_id x", 424, "adapter_load_failed"),
        ("Adapter 'x' is not compatible with model 'y'. Architectures differ: a != b", 409, "adapter_incompatible"),
        ("Adapter x is larger than adapter memory reservation: 2 / 1 bytes", 409, "adapter_incompatible"),
        ("Memory reserved for adapters is 0. Please set", 409, "adapter_incompatible"),
        ("This model does not support dynamic adapter loading. Please", 409, "adapter_incompatible"),
        ("CUDA out of memory. Tried to allocate 2 GiB", 503, "out_of_memory"),
        ("something else about my secret prompt", 500, "generation"),
    ],
)  # fmt: skip
def test_lorax_424s_are_distinguished(words: str, status: int, error_type: str) -> None:
    text = f"Request failed during generation: Server error: {words}"
    error = refusal(424, {"error": text, "error_type": "generation"}, chat())
    assert (error.status, error.error_type) == (status, error_type)
    assert words not in error.message, "LoRAX's own words name its flags and paths"
    assert "secret" not in error.message


@pytest.mark.parametrize(
    ("error_type", "status"),
    [("validation", 422), ("template_error", 422), ("overloaded", 429), ("incomplete_generation", 500)],
)
def test_lorax_other_errors_keep_their_status(error_type: str, status: int) -> None:
    assert refusal(status, {"error": "words", "error_type": error_type}, chat()).status == status


@pytest.mark.parametrize(("status", "becomes"), [(422, 422), (400, 422), (413, 422), (500, 500), (404, 500)])
def test_plain_text_is_recognized_by_its_status(status: int, becomes: int) -> None:
    assert refusal(status, {}, chat()).status == becomes


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


def test_tools_are_in_loraxs_form() -> None:
    body = chat_body(
        chat(tools=[tool("none"), tool("add", parameters={"a": None})]), None, default_new_tokens=9
    )
    assert body["tools"] == [tool("none", parameters={}), tool("add", parameters={"a": None})]
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("choice", "becomes"),
    [
        ("none", "none"),
        ("auto", "auto"),
        ({"type": "function", "function": {"name": "none"}}, {"Function": {"name": "none"}}),
    ],
)
def test_a_tool_choice_is_in_loraxs_form(choice: Any, becomes: Any) -> None:
    body = chat_body(chat(tools=[tool("none"), tool("b")], tool_choice=choice), None, default_new_tokens=9)
    assert body["tool_choice"] == becomes


def test_lorax_can_be_required_to_call_one_tool_not_one_of_several() -> None:
    one = chat_body(chat(tools=[tool("a")], tool_choice="required"), None, default_new_tokens=9)
    assert one["tool_choice"] == {"Function": {"name": "a"}}
    with pytest.raises(GatewayError, match="`tool_choice`: .*: name one of them"):
        chat_body(chat(tools=[tool("a"), tool("b")], tool_choice="required"), None, default_new_tokens=9)


def test_lorax_streams_if_no_tool_may_be_called() -> None:
    for fields in ({"tool_choice": "none", "tools": [tool("a")]}, {"tools": []}):
        chat_body(chat(stream=True, **fields), None, default_new_tokens=9)
    with pytest.raises(GatewayError, match="leave `stream` out"):
        chat_body(chat(stream=True, tools=[tool("a")]), None, default_new_tokens=9)


def test_a_tool_call_of_lorax_is_openais() -> None:
    call = {"id": "0", "type": "function", "function": {"name": "a", "arguments": "{}", "description": None}}
    answer = {
        "choices": [
            {"index": 0, "message": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "stop"}
        ]
    }
    ids = set()
    for _ in range(2):
        (choice,) = ChatAnswer(chat(), "base", Usage()).whole(answer)["choices"]
        assert choice["finish_reason"] == "tool_calls"
        (translated,) = choice["message"]["tool_calls"]
        ids.add(translated.pop("id"))
        assert translated == {"type": "function", "function": {"name": "a", "arguments": "{}"}}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("request_", "written"),
    [
        (chat(max_completion_tokens=9), "`messages` tokens + `max_completion_tokens`"),
        (chat(max_tokens=9), "`messages` tokens + `max_tokens`"),
        (text(), "`prompt` tokens + `max_tokens`"),
    ],
)
def test_a_message_of_lorax_names_the_clients_fields(request_: Any, written: str) -> None:
    words = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 512"
    assert written in refusal(422, {"error": words, "error_type": "validation"}, request_).message
