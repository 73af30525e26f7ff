"""Events that pass as bytes are those that would have been parsed, checked and built again."""

import ast
import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from container.gateway.errors import GatewayError
from container.gateway.request_context import Usage
from container.gateway.schemas.openai import OpenAIRequest
from container.gateway.schemas.parsing import Reader
from container.gateway.sse import encode_event, translated
from container.vllm.event_streams import EngineEvents, OpenAIEvents
from container.vllm.openai_schema import openai_answer

BASE, ASKED = "tiny-mistral", "adapters/otter/1f0c"
#: Recorded from the classes of vLLM 0.32.0 with the fields that its stream generators set.
TEXT = (
    '{"id":"cmpl-a","object":"text_completion","created":1795507429,"model":"adapters/otter/1f0c","choices":[{"index":0,'
    '"text":"é\x7f\u2028\\"\\\\/\\u0001\\n","logprobs":null,"finish_reason":null,"stop_reason":null,'
    '"prompt_token_ids":null,"token_ids":null}]}'
)
CHAT = (
    '{"id":"chatcmpl-a","object":"chat.completion.chunk","created":1795507429,"model":"adapters/otter/1f0c","choices":'
    '[{"index":0,"delta":{"content":"hi"},"logprobs":null,"finish_reason":null,"token_ids":null}]}'
)
#: Text that looks like fields, as a prompt can make a model write it.
FORGED = (
    '","model":"adapters/other/1","choices":[',
    '"},"logprobs":null,"finish_reason":"stop","token_ids":null}]}',
    ',"logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,"token_ids":null}]}',
    '{"error":{"message":"no"}}',
    '\n\ndata: {"error": 1}\n\n',
    "data: [DONE]\n\n",
    "\\",
    '\\"',
    "\r\n",
)
texts = st.text() | st.lists(st.sampled_from(FORGED) | st.text(max_size=3), max_size=4).map("".join)
logprobs = st.none() | st.fixed_dictionaries(
    {"tokens": st.lists(texts, max_size=2), "token_logprobs": st.lists(st.floats(-9, 0), max_size=2)}
)
reasons = st.none() | st.sampled_from(["stop", "length", "tool_calls", "abort", "error"])
counts = st.fixed_dictionaries(dict.fromkeys(("prompt_tokens", "completion_tokens"), st.integers(0, 99)))
calls = st.lists(
    st.fixed_dictionaries(
        {"index": st.integers(0, 2), "function": st.fixed_dictionaries({"arguments": texts})}
    ),
    min_size=1,
    max_size=2,
)
deltas: st.SearchStrategy[dict[str, Any]] = (
    st.fixed_dictionaries({"content": texts})
    | st.fixed_dictionaries({"role": st.just("assistant"), "content": st.just("")})
    | st.fixed_dictionaries({"tool_calls": calls})
    | st.fixed_dictionaries({"content": texts, "reasoning": texts})
    | st.just({})
)


def compact(event: Any) -> bytes:
    """Encode as pydantic does."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def spaced(event: Any) -> bytes:
    """Encode as it does not."""
    return json.dumps(event).encode()


def choices(chat: bool, plain: bool) -> st.SearchStrategy[dict[str, Any]]:
    index = {"index": st.integers(0, 11)}
    rare_logprobs, rare_reasons = (st.none(), st.none()) if plain else (logprobs, reasons)
    if chat:
        delta = st.fixed_dictionaries({"content": texts}) if plain else deltas
        after = {"logprobs": rare_logprobs, "finish_reason": rare_reasons, "token_ids": st.none()}
        return st.fixed_dictionaries(index | {"delta": delta} | after)
    after = {"logprobs": rare_logprobs, "finish_reason": rare_reasons, "stop_reason": st.none() | texts}
    after |= {"prompt_token_ids": st.none(), "token_ids": st.none()}
    if plain:
        after["stop_reason"] = st.none()
    return st.fixed_dictionaries(index | {"text": texts} | after)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bool, list[bytes]]:
    """Return whether a stream is a chat's, and its events: most add text, any may be odd."""
    chat = draw(st.booleans())
    head = {
        "id": draw(st.sampled_from(["a", None])),
        "object": "chat.completion.chunk" if chat else "text_completion",
        "created": 1,
        "model": ASKED,
    }
    events = []
    for _ in range(draw(st.integers(1, 6))):
        plain = draw(st.sampled_from([True, True, True, False]))
        found = draw(st.lists(choices(chat, plain), min_size=1, max_size=1 if plain else 2))
        event: dict[str, Any] = head | {"choices": found}
        if not plain:
            event |= draw(
                st.sampled_from(
                    [{}, {"usage": draw(counts)}, {"model": BASE}, {"error": {}}, {"choices": []}]
                )
            )
        encode = compact if plain else draw(st.sampled_from([compact, compact, spaced]))
        events.append(encode(event))
    return chat, events


def request(chat: bool, *, usage: bool = False) -> OpenAIRequest:
    prompt: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]} if chat else {"prompt": "hi"}
    read = Reader(base_model=BASE, max_new_tokens=100).any
    found = read(prompt | {"model": "otter", "stream": True, "stream_options": {"include_usage": usage}})
    assert isinstance(found, OpenAIRequest)
    return found


def gateway(asked: OpenAIRequest) -> tuple[OpenAIEvents, EngineEvents, Usage]:
    usage = Usage()
    engine = EngineEvents(ASKED, usage)
    return OpenAIEvents(asked, engine, asked=ASKED, base_model=BASE), engine, usage


def outcome(call: Callable[[], list[Any]]) -> list[Any]:
    """Return what a call returns, or what it raises."""
    try:
        return call()
    except GatewayError as error:
        return [error.error_type]
    except (KeyError, TypeError, AttributeError) as error:
        return [type(error)]


def built_again(asked: OpenAIRequest, events: list[bytes]) -> tuple[list[Any], bool, Usage]:
    """Return the events of a gateway that parses all, and then its error; whether it finished; the usage."""
    usage = Usage()
    found: list[Any] = []
    engine = EngineEvents(ASKED, usage)
    try:
        for data in events:
            event = engine.read(data)
            if event["choices"] or asked.include_usage:
                found.append(openai_answer(event, "otter"))
    except GatewayError as error:
        found.append(error.error_type)
    return found, engine.finished, usage


@given(stream=streams(), usage=st.booleans(), ends=st.sampled_from([b"\n\n", b"\r\n\r\n"]), data=st.data())
def test_a_stream_is_the_same_however_it_is_cut(
    stream: tuple[bool, list[bytes]], usage: bool, ends: bytes, data: st.DataObject
) -> None:
    chat, events = stream
    asked = request(chat, usage=usage)
    comment = data.draw(st.sampled_from([b"", b": comment\n\n", b"event: x\n"]))
    body = b"".join(comment + b"data: " + event + ends for event in events) + b"data: [DONE]\n\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    found, finished, counted = built_again(asked, events)
    translator, engine, usage_found = gateway(asked)

    async def chunks() -> AsyncIterator[bytes]:
        for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
            yield body[start:end]

    async def read() -> list[Any]:
        sent, failure = b"", []
        try:
            async for each in translated(chunks(), translator.translate):
                assert each.endswith(b"\n\n")
                sent += each
        except GatewayError as error:
            failure = [error.error_type]
        lines = sent.split(b"\n\n")[:-1]
        assert all(line.startswith(b"data: ") for line in lines)
        return [json.loads(line[6:]) for line in lines] + failure

    assert asyncio.run(read()) == found
    assert (engine.finished, usage_found) == (finished, counted)


@pytest.mark.parametrize(("chat", "recorded"), [(False, TEXT), (True, CHAT)])
def test_what_vllm_writes_passes_unparsed_with_the_clients_name_and_without_its_own_fields(
    chat: bool, recorded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator, engine, _ = gateway(request(chat))
    data = recorded.encode()
    first = translator.translate(data)
    assert first == encode_event(openai_answer(json.loads(recorded), "otter"))
    monkeypatch.setattr(engine, "read", lambda _: pytest.fail("was parsed"))
    assert translator.translate(data) == first
    assert b"adapters/" not in first
    assert b"token_ids" not in first


@pytest.mark.parametrize("chat", [False, True])
@given(cut=st.integers(0, 300), written=st.binary(max_size=12) | st.sampled_from([b'"', b'"x"', b"\\", b"1"]))
def test_bytes_that_are_not_exactly_an_events_never_pass(chat: bool, cut: int, written: bytes) -> None:
    recorded = (CHAT if chat else TEXT).encode()
    data = recorded[:cut] + written + recorded[cut:]
    translator, _, _ = gateway(request(chat))
    translator.translate(recorded)

    def passed() -> list[Any]:
        return [json.loads(translator.translate(data).removeprefix(b"data: "))]

    assert outcome(passed) == outcome(
        lambda: [openai_answer(EngineEvents(ASKED, Usage()).read(data), "otter")]
    )


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
@pytest.mark.parametrize(
    ("recorded", "folder", "generator"),
    [
        (TEXT, "completion", "completion_stream_generator"),
        (CHAT, "chat_completion", "chat_completion_stream_generator"),
    ],
)
def test_the_installed_vllm_sets_the_fields_of_the_recorded_events(
    recorded: str, folder: str, generator: str
) -> None:
    """With other fields all events would be parsed: right, and slow.

    pydantic writes the fields that were set, in the order of the class.
    """
    spec = importlib.util.find_spec("vllm")
    assert spec is not None and spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0]) / "entrypoints/openai" / folder
    protocol, serving = (ast.parse((source / name).read_text()) for name in ("protocol.py", "serving.py"))
    (function,) = (
        node
        for node in ast.walk(serving)
        if isinstance(node, ast.AsyncFunctionDef) and node.name == generator
    )

    def written(kind: str) -> list[list[str]]:
        (declared,) = (
            node for node in ast.walk(protocol) if isinstance(node, ast.ClassDef) and node.name.endswith(kind)
        )
        order = [
            each.target.id
            for each in declared.body
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
        ]
        calls = (
            node
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == declared.name
        )
        set_fields = ({keyword.arg for keyword in call.keywords} for call in calls)
        return [[name for name in order if name in found] for found in set_fields]

    event = json.loads(recorded)
    assert list(event) in written("StreamResponse")
    assert list(event["choices"][0]) in written("ResponseStreamChoice")


def test_another_model_in_the_middle_of_a_stream_is_refused() -> None:
    translator, _, _ = gateway(request(False))
    translator.translate(TEXT.encode())
    translator.translate(TEXT.encode())
    with pytest.raises(GatewayError) as caught:
        translator.translate(TEXT.replace(ASKED, BASE).encode())
    assert caught.value.error_type == "wrong_adapter"
