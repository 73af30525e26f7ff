"""An error's location has only keys and indices of the body, and its message names the value's mistake."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from container.gateway.errors import GatewayError
from container.gateway.schemas.lorax import GenerateRequest
from container.gateway.schemas.openai import ChatRequest, TextRequest
from container.gateway.schemas.parsing import Reader

Path = tuple[str | int, ...]
READER = Reader(base_model="tiny-mistral", max_new_tokens=100)
CALL = {"id": "call-1", "type": "function", "function": {"name": "add", "arguments": "{}"}, "index": 0}
#: A body with each object and each list of a schema, and one with the other branch of each union.
BODIES: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (
        ChatRequest,
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "hi"}], "name": "a"},
                {"role": "assistant", "content": "hi", "tool_calls": [CALL]},
                {"role": "tool", "content": "1", "tool_call_id": "call-1"},
            ],
            "stop": ["a"],
            "tools": [{"type": "function", "function": {"name": "add", "parameters": {"a": None}}}],
            "tool_choice": {"type": "function", "function": {"name": "add"}},
            "stream_options": {"include_usage": True},
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
            "logit_bias": {"1": 1.0},
            "seed": 1,
        },
    ),
    (ChatRequest, {"messages": [{"role": "user", "content": "hi"}], "stop": "a", "tool_choice": "none"}),
    (TextRequest, {"prompt": "hi", "stop": ["a"], "logprobs": 1, "echo": True}),
    (
        GenerateRequest,
        {
            "inputs": "hi",
            "stream": False,
            "parameters": {"stop": ["a"], "details": True, "top_p": 0.5, "seed": 1},
        },
    ),
]
#: Keys that have a client's free data beneath.
DATA = ("parameters", "schema")
WRONG: list[Any] = [
    *(7, -1.5, True, "", "secret", [], {}, ["secret"], [7], [[]], {"str": "secret"}, {"secret": 1}, [{}]),
    *(["secret"] * 9, [""], {"type": "secret"}, {"type": "function"}, [{"type": "secret"}], 10**30),
]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of each value of a body, but of those in a client's data."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        if key not in DATA or path == ():
            yield from places(item, (*path, key))


def changed(value: Any, path: Path, new: Any) -> Any:
    """Return a copy with another value at the path."""
    if not path:
        return new
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = changed(value[key], tuple(rest), new)  # type: ignore[index]
    return copy


def refusal(body: Any) -> str | None:
    try:
        READER.any(body)
    except GatewayError as error:
        assert (error.status, error.error_type) == (422, "validation")
        return error.message.removeprefix("Input validation error: ")
    return None


def assert_named(message: str, body: Any, path: Path) -> None:
    """Assert that the message names the changed place, one inside of it, or a key that its object lacks."""
    found = re.match(r"`([^`]+)`", message)
    assert found, message
    location = tuple(int(part) if part.isdigit() else part for part in found[1].split("."))
    shared = list(map(str, path[: len(location)]))
    assert list(map(str, location[: len(shared)])) == shared, message
    here = body
    for index, part in enumerate(location):
        # `logit_bias` has keys that are digits.
        part = str(part) if isinstance(here, dict) else part  # noqa: PLW2901
        last = index == len(location) - 1
        if last and isinstance(here, dict) and part not in here:
            assert "is missing" in message, message
            return
        assert isinstance(here, dict | list), message
        here = here[part]  # type: ignore[index]
    assert "secret" not in message.partition("`:")[2], message


CASES = [(body, path) for _, body in BODIES for path in places(body)]


@pytest.mark.parametrize(("body", "path"), CASES, ids=lambda case: str(case)[-40:])
def test_a_wrong_value_is_named_where_it_is(body: dict[str, Any], path: Path) -> None:
    refused = 0
    for wrong in WRONG:
        altered = changed(body, path, wrong)
        message = refusal(altered)
        if message is None or message.startswith("give one of"):
            continue
        refused += 1
        # What has to agree with another field is named at either.
        if not re.match(r"`(tool_choice[^`]*|response_format\.json_schema)`: is ", message):
            assert_named(message, altered, path)
        assert "Input should" not in message
        assert "None" not in message
    assert refused or path[-1] in ("name", "tool_call_id", "index", "schema", "arguments")


@settings(max_examples=150)
@given(
    case=st.sampled_from(CASES),
    wrong=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["str", "type", "text", "x"]), inner)
        ),
        max_leaves=6,
    ),
)
def test_any_value_is_taken_or_named_without_pydantics_words(case: Any, wrong: Any) -> None:
    body, path = case
    message = refusal(changed(body, path, wrong)) or ""
    assert not re.search(r"Input should|constrained|\[|function-|lax-or-strict|Tag|union", message), message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stop": list("vwxyz")}, "`stop`: takes at most 4 items"),
        ({"stop": ""}, "`stop`: must not be empty"),
        ({"stop": ["a", ""]}, "`stop.1`: must not be empty"),
        ({"stop": 5}, "`stop`: must be a string or a list"),
        ({"stop": {"str": 5}}, "`stop`: must be a string or a list"),
        ({"tool_choice": 5}, "`tool_choice`: must be 'none', 'auto' or 'required' or an object"),
        ({"tool_choice": "any"}, "`tool_choice`: must be 'none', 'auto' or 'required'"),
        ({"tool_choice": {"type": "function"}}, "`tool_choice.function`: is missing"),
        ({"seed": 1.5}, "`seed`: must be a whole number"),
        ({"response_format": {"type": "json_schema"}}, "`response_format.json_schema`: is missing"),
        ({"functions": [{}]}, "`functions`: write `tools`"),
        ({"temprature": 1}, "`temprature`: is not known here, did you mean 'temperature'"),
        ({"max_completion_tokens": 101}, "`max_completion_tokens` must be <= 100"),
        ({"max_tokens": 101}, "`max_tokens` must be <= 100"),
    ],
)
def test_the_branch_that_was_meant_is_named(fields: dict[str, Any], message: str) -> None:
    assert refusal({"messages": [{"role": "user", "content": "hi"}]} | fields) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}],
         "`messages.0.content.0.cache_control`: is not known here: leave it out"),
        ([{"type": "image_url", "image_url": {"url": "secret"}}], "`messages.0.content.0.type`: must be 'text'"),
        (["secret"], "`messages.0.content.0`: must be an object"),
        ([{"type": "text"}], "`messages.0.content.0.text`: is missing"),
        ({"str": "secret"}, "`messages.0.content`: must be a string or a list"),
        (7, "`messages.0.content`: must be a string or a list"),
    ],
)  # fmt: skip
def test_a_part_of_a_content_is_named(content: Any, message: str) -> None:
    assert refusal({"messages": [{"role": "user", "content": content}]}) == message


def models(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a model and those of its fields."""
    yield kind
    found: list[Any] = [field.annotation for field in kind.model_fields.values()]
    while found:
        annotation = found.pop()
        found += get_args(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from models(annotation)


def test_the_bodies_have_each_object_of_the_schemas() -> None:
    """A model that is added to a schema is added to the bodies above."""
    keys = {str(key) for _, body in BODIES for path in places(body) for key in path}
    for kind in (ChatRequest, TextRequest, GenerateRequest):
        for model in models(kind):
            required = {
                field.alias or name for name, field in model.model_fields.items() if field.is_required()
            }
            assert required <= keys, model
