"""Each answer of ours, on either engine, is accepted in the next turn as clients' libraries write it."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI
from pydantic import BaseModel

from container.gateway.engine.http_client import encode
from container.gateway.errors import GatewayError
from container.gateway.request_context import Usage
from container.gateway.schemas.openai import ChatRequest, Json
from container.gateway.schemas.parsing import Reader, read_json
from container.gateway.sse import END_EVENT, encode_event
from container.lorax.chat import ChatAnswer, chat_body
from container.vllm.openai_schema import openai_answer, openai_body
from tests.harness.openai_fields import unknown_fields

READER = Reader(base_model="tiny-mistral", max_new_tokens=100)
USER = {"role": "user", "content": "hi"}
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]

words = st.text(max_size=6) | st.sampled_from(['{"a": 1}', "[1", "null"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner) | st.dictionaries(words, inner),
)
functions = st.fixed_dictionaries({"name": st.just("add"), "arguments": words})
#: What vLLM 0.32.0 adds to a message, a choice and an answer (entrypoints/openai/chat_completion/protocol.py).
vllm_messages = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | words},
    optional={
        **dict.fromkeys(("refusal", "annotations", "audio", "function_call", "reasoning"), anything),
        "tool_calls": st.lists(
            st.fixed_dictionaries(
                {"id": st.just("call-1"), "type": st.just("function"), "function": functions}
            ),
            min_size=1,
            max_size=3,
        ),
    },
)
vllm_choices = st.fixed_dictionaries(
    {
        "index": st.just(0),
        "message": vllm_messages,
        "logprobs": st.none(),
        "finish_reason": st.sampled_from(["stop", "length", "tool_calls"]),
    },
    optional=dict.fromkeys(("stop_reason", "token_ids", "routed_experts"), anything),
)
vllm_answers = st.fixed_dictionaries(
    {
        "id": st.just("chatcmpl-1"),
        "object": st.just("chat.completion"),
        "created": st.just(1),
        "model": st.just("adapters/otter/0/"),
        "choices": vllm_choices.map(lambda choice: [choice]),
        "usage": st.just(
            {"prompt_tokens": 1, "total_tokens": 2, "completion_tokens": 1, "prompt_tokens_details": None}
        ),
    },
    optional=dict.fromkeys(
        (
            "service_tier",
            "system_fingerprint",
            "prompt_logprobs",
            "prompt_token_ids",
            "kv_transfer_params",
            "metrics",
        ),
        anything,
    ),
)
#: LoRAX 0.12.1's (router/src/lib.rs: ChatMessage, ToolCall, ReturnFunctionDefinition).
lorax_calls = st.fixed_dictionaries(
    {
        "id": st.just("0"),
        "type": st.just("function"),
        "function": functions.map(lambda function: function | {"description": None}),
    }
)
lorax_messages = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": words}
) | st.fixed_dictionaries({"role": st.just("assistant"), "tool_calls": lorax_calls.map(lambda call: [call])})
lorax_answers = lorax_messages.map(
    lambda message: {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "system_fingerprint": "0.1.0-native",
    }
)


def request(**fields: Any) -> ChatRequest:
    read = READER.chat({"model": "otter", "messages": [USER]} | fields)
    assert isinstance(read, ChatRequest)
    return read


def of_lorax(answer: Json) -> Json:
    return ChatAnswer(request(), "tiny-mistral", Usage()).whole(answer)


def of_vllm(answer: Json) -> Json:
    return openai_answer(answer, "otter")


class Service:
    """An endpoint that answers with given bodies, and the client of it; it keeps the last request's body."""

    def __init__(self) -> None:
        self.answer = b""
        self.kind = "application/json"
        self.asked = b""
        transport = httpx.MockTransport(self._respond)
        self.client = OpenAI(
            base_url="http://endpoint/v1", api_key="none", http_client=httpx.Client(transport=transport)
        )

    def _respond(self, http: httpx.Request) -> httpx.Response:
        self.asked = http.read()
        return httpx.Response(200, content=self.answer, headers={"content-type": self.kind})

    def next_turn(self, message: Any) -> ChatRequest:
        """Send the message of the first answer back, as the client encodes it, and read that as the gateway."""
        messages: Any = [USER, message, USER]
        self.client.chat.completions.create(model="otter", messages=messages)
        read = READER.any(read_json(self.asked))
        assert isinstance(read, ChatRequest)
        return read


@pytest.fixture(scope="module")
def service() -> Service:
    return Service()


def litellm(message: Any) -> Json:
    """The fields of litellm's Message, which its proxy and its users send on."""
    nothing: Json = {
        "provider_specific_fields": {"refusal": None, "reasoning_content": None},
        "annotations": [],
    }
    return dict(message.model_dump()) | nothing


def langchain(message: Any) -> Json:
    """The message that ChatOpenAI of langchain-openai 1.7.4 writes (`_convert_message_to_dict`).

    Its tool calls have the parsed arguments; those that it cannot parse are sent on as text.
    """
    written: Json = {"content": message.content, "role": "assistant"}
    calls = [
        {
            "type": "function",
            "id": call.id,
            "function": {"name": call.function.name, "arguments": reparsed(call.function.arguments)},
        }
        for call in message.tool_calls or ()
    ]
    return written | {"tool_calls": calls, "content": message.content or None} if calls else written


def reparsed(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments, strict=False), ensure_ascii=False)
    except ValueError:
        return arguments


WAYS: dict[str, Callable[[Any], Any]] = {
    "the object": lambda message: message,
    "model_dump": lambda message: message.model_dump(),
    "to_dict": lambda message: message.to_dict(),
    "without nulls": lambda message: message.model_dump(exclude_none=True),
    "litellm": litellm,
    "langchain": langchain,
}


def streamed(service: Service, events: list[Json]) -> Any:
    """Check the events' fields; return the message that the client puts together, ready for the next turn."""
    assert [name for event in events for name in unknown_fields(event)] == []
    service.answer, service.kind = b"".join(map(encode_event, events)) + END_EVENT, "text/event-stream"
    with service.client.chat.completions.stream(model="otter", messages=[USER]) as stream:  # type: ignore[list-item]
        whole = stream.get_final_completion()
    service.answer, service.kind = (
        json.dumps(of_vllm({"object": "chat.completion", "choices": []})).encode(),
        "application/json",
    )
    return whole.choices[0].message


def assert_taken_back(service: Service, message: Any, answer: Json) -> None:
    (choice,) = answer["choices"]
    for way, write in WAYS.items():
        turn = service.next_turn(write(message)).messages[1]
        assert (turn.content or None) == (choice["message"]["content"] or None), way
        calls = choice["message"].get("tool_calls") or []
        assert [call.function.name for call in turn.tool_calls or ()] == [
            call["function"]["name"] for call in calls
        ], way


@settings(max_examples=40)
@given(answer=vllm_answers.map(of_vllm) | lorax_answers.map(of_lorax))
def test_an_answer_has_openais_fields_and_is_taken_back(service: Service, answer: Json) -> None:
    assert unknown_fields(answer) == []
    service.answer, service.kind = json.dumps(answer).encode(), "application/json"
    given_back = service.client.chat.completions.create(model="otter", messages=[USER])  # type: ignore[list-item]
    assert_taken_back(service, given_back.choices[0].message, answer)


@settings(max_examples=40)
@given(
    message=vllm_messages,
    pieces=st.lists(words, max_size=3),
    extra=st.dictionaries(st.sampled_from(["stop_reason", "token_ids", "reasoning"]), anything),
)
def test_a_stream_has_openais_fields_and_is_taken_back(
    service: Service, message: Json, pieces: list[str], extra: Json
) -> None:
    calls = [call | {"index": index} for index, call in enumerate(message.get("tool_calls", []))]
    deltas: list[Json] = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in pieces)]
    deltas += [{"content": None, "tool_calls": [call]} for call in calls]
    deltas += [
        {"tool_calls": [{"index": call["index"], "function": {"arguments": "x", "name": None}}]}
        for call in calls
    ]
    events = [
        openai_answer(
            {
                **{
                    "id": "chatcmpl-1",
                    "object": "chat.completion.chunk",
                    "created": 1,
                    "model": "x",
                    "usage": None,
                },
                "choices": [{"index": 0, "delta": delta | extra, "finish_reason": reason, **extra}],
            },
            "otter",
        )
        for delta, reason in [*((delta, None) for delta in deltas), ({}, "stop")]
    ]
    whole = streamed(service, events)
    expected = {"content": "".join(pieces), "tool_calls": calls}
    assert_taken_back(service, whole, {"choices": [{"message": expected}]})


@settings(max_examples=40)
@given(pieces=st.lists(words, min_size=1, max_size=3))
def test_a_stream_of_lorax_has_openais_fields_and_is_taken_back(service: Service, pieces: list[str]) -> None:
    """LoRAX 0.12.1's events (router/src/lib.rs: ChatCompletionStreamResponse) have text alone."""
    answer = ChatAnswer(request(stream=True), "tiny-mistral", Usage())
    reasons = [None] * (len(pieces) - 1) + ["stop"]
    events = [
        event
        for piece, reason in zip(pieces, reasons, strict=True)
        for event in answer.chunks(
            {
                "choices": [
                    {"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": reason}
                ]
            }
        )
    ]
    whole = streamed(service, events)
    assert_taken_back(service, whole, {"choices": [{"message": {"content": "".join(pieces)}}]})


class Sum(BaseModel):
    a: int


def test_what_the_client_has_read_out_of_an_answer_is_not_part_of_the_next_turn(service: Service) -> None:
    call = {"id": "call-1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    message = {"role": "assistant", "content": '{"a": 1}', "tool_calls": [call]}
    answer = of_vllm(
        {"object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
    )
    service.answer, service.kind = json.dumps(answer).encode(), "application/json"
    strict: Any = {
        "type": "function",
        "function": {"name": "add", "strict": True, "parameters": {"type": "object"}},
    }
    read = service.client.chat.completions.parse(
        model="otter",
        messages=[USER],
        response_format=Sum,
        tools=[strict],  # type: ignore[list-item]
    )
    assert read.choices[0].message.parsed == Sum(a=1)
    assert_taken_back(service, read.choices[0].message, answer)


def test_a_result_of_a_tool_is_taken_on_both_engines() -> None:
    call = {
        "index": 0,
        "id": "call-1",
        "type": "function",
        "function": {"name": "add", "arguments": '{"a":1}'},
    }
    echoed = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "call-1", "content": "72"}
    read = request(messages=[USER, echoed, result], tools=TOOLS)
    del call["index"]
    assert openai_body(read, default_new_tokens=9)["messages"] == [
        USER, {"role": "assistant", "tool_calls": [call]}, result,
    ]  # fmt: skip
    # As LoRAX's model has written it.
    assert chat_body(read, None, default_new_tokens=9)["messages"] == [
        USER,
        {"role": "assistant", "content": '{"function": {"_name": "add", "a": 1}}'},
        {"role": "tool", "content": "72"},
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        "{", "[1]", '"a"', "[" * 90_000, '{"a":' * 90 + "1" + "}" * 90, '{"a":"\\ud83d"}', '{"a":NaN}',
        '{"a":1e999}', '{"a":' + "1" * 5000 + "}",
    ],
)  # fmt: skip
def test_arguments_that_are_no_object_of_json_are_taken_back_as_text(arguments: str) -> None:
    call = {"id": "call-1", "function": {"name": "add", "arguments": arguments}}
    read = request(messages=[USER, {"role": "assistant", "tool_calls": [call]}, USER])
    (_, echoed, _) = chat_body(read, None, default_new_tokens=9)["messages"]
    assert json.loads(echoed["content"]) == {"function": {"_name": "add", "arguments": arguments}}
    encode(echoed)
    (_, sent, _) = openai_body(read, default_new_tokens=9)["messages"]
    assert json.loads(sent["tool_calls"][0]["function"]["arguments"]) == {"arguments": arguments}


def test_no_arguments_are_an_empty_object() -> None:
    call = {"id": "call-1", "function": {"name": "add", "arguments": ""}}
    read = request(messages=[USER, {"role": "assistant", "tool_calls": [call]}, USER])
    (_, echoed, _) = chat_body(read, None, default_new_tokens=9)["messages"]
    assert json.loads(echoed["content"]) == {"function": {"_name": "add"}}


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ({"role": "", "content": "a"}, "`messages.0.role`: must not be empty"),
        ({"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": ""}}]},
         "`messages.0.tool_calls.0.function.name`: must not be empty"),
        ({"role": "assistant", "tool_calls": [{"id": "1", "function": {}}]},
         "`messages.0.tool_calls.0.function.name`: is missing"),
        ({"role": "user", "contents": "a"}, "`messages.0.contents`: is not known here, did you mean 'content'"),
        ({"role": "user", "content": [{"type": "text", "text": "a", "texts": "b"}]},
         "`messages.0.content.0.texts`: is not known here, did you mean 'text'"),
    ],
)  # fmt: skip
def test_a_message_is_refused_for_its_true_reason(message: Json, problem: str) -> None:
    with pytest.raises(GatewayError) as caught:
        request(messages=[message])
    assert caught.value.message == f"Input validation error: {problem}"


def test_a_schema_and_tools_that_may_not_be_called_are_the_schema_to_lorax() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}
    body = chat_body(
        request(tools=TOOLS, tool_choice="none", response_format=schema), None, default_new_tokens=9
    )
    assert body["response_format"] == schema
    assert not {"tools", "tool_choice"} & body.keys()
    with pytest.raises(GatewayError, match="`response_format`: is not supported with `tools`"):
        chat_body(request(tools=TOOLS, response_format=schema), None, default_new_tokens=9)
    text = request(tools=TOOLS, response_format={"type": "text"})
    assert chat_body(text, None, default_new_tokens=9)["tools"]


@pytest.mark.parametrize(
    "field", ["refusal", "annotations", "audio", "function_call", "reasoning", "reasoning_content", "what"]
)
def test_a_field_of_a_message_that_says_something_is_refused_by_name(field: str) -> None:
    for empty in (None, "", [], {}, {"a": None, "b": {}}):
        request(messages=[{"role": "assistant", "content": "a", field: empty}, USER])
    with pytest.raises(GatewayError, match=f"`messages.0.{field}`: is not known here"):
        request(messages=[{"role": "assistant", "content": "a", field: "secret"}, USER])


NULLS = (
    *(
        "function_call",
        "functions",
        "suffix",
        "reasoning_effort",
        "tools",
        "stream_options",
        "stop",
        "n",
        "model",
    ),
    *(
        "response_format",
        "logit_bias",
        "stream",
        "echo",
        "best_of",
        "audio",
        "modalities",
        "metadata",
        "inputs",
    ),
)


@pytest.mark.parametrize("body", [{"messages": [USER]}, {"prompt": "hi"}])
def test_a_null_is_a_field_that_is_not_set(body: Json) -> None:
    assert READER.any(body | dict.fromkeys(NULLS)) == READER.any(body)
    assert READER.any(body | dict.fromkeys(NULLS) | {"tool_choice": None}) == READER.any(body)


def test_a_null_is_not_set_at_each_level() -> None:
    part = {"type": "text", "text": "hi", "cache_control": None}
    read = request(
        messages=[{"role": "user", "content": [part], "name": None, "tool_call_id": None}],
        tools=[{"type": "function", "x": None, "function": {"name": "add", "strict": None, "y": None}}],
        tool_choice="none",
        stream_options={"include_usage": None, "include_obfuscation": None},
        response_format={"type": "json_object", "json_schema": None},
    )
    assert openai_body(read, default_new_tokens=9) == {
        "model": "otter",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "tools": [{"type": "function", "function": {"name": "add"}}],
        "tool_choice": "none",
        "response_format": {"type": "json_object"},
        "max_tokens": 9,
    }


def test_a_null_in_data_stays() -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [None, 1], "default": None}}, "x": None}
    read = request(
        tools=[{"type": "function", "function": {"name": "add", "parameters": schema}}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "a", "strict": None, "schema": schema},
        },
    )
    assert openai_body(read, default_new_tokens=9)["tools"][0]["function"]["parameters"] == schema
    without_tools = read.model_copy(update={"tools": None})
    for body in (
        openai_body(without_tools, default_new_tokens=9),
        chat_body(without_tools, None, default_new_tokens=9),
    ):
        assert body["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "a", "schema": schema},
        }


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({"messages": [{"role": None, "content": "hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": [USER], "tools": [{"type": "function", "function": None}]}, "tools.0.function"),
        ({"messages": [USER], "response_format": {"type": None}}, "response_format.type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": None}]}]},
            "messages.0.content.0.text",
        ),
    ],
)
def test_a_null_of_a_field_that_must_be_set_is_missing(body: Json, missing: str) -> None:
    with pytest.raises(GatewayError, match=f"`{missing}`: is missing"):
        READER.chat(body)
