"""JSON in which each key is there once."""

import json

import pytest

from adapters.strict_json import NotAnObject, parse_object


def refusal(content: str | bytes) -> str:
    with pytest.raises(NotAnObject) as caught:
        parse_object(content if isinstance(content, bytes) else content.encode())
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ('{"r": 8, "r": 4}', "line 1: 'r' is there twice"),
        ('{\n"r": 8,\n"r": 4}', "line 3: 'r' is there twice, first in line 2"),
        (
            '{\n"a": {"r": 1},\n"b": [{"r": 1}, {"r": 2,\n "r": 3}]}',
            "line 4: 'r' is there twice, first in line 3",
        ),
        ('{"a": [{"b": 1}, {"b": 2}],\n"a": 1}', "line 2: 'a' is there twice, first in line 1"),
        ('{"a": 1,\n"\\u0061": 2}', "line 2: 'a' is there twice, first in line 1"),
        ('{"a": "{\\"b\\": 1, \\"b\\": 2}",\n"a": 1}', "line 2: 'a' is there twice, first in line 1"),
        ('{"a": "\\\\",\n"b": ":",\n"b": 1}', "line 3: 'b' is there twice, first in line 2"),
        ('{"a": {"b": 1, "b": 2}, this is not read', "line 1: 'b' is there twice"),
    ],
)
def test_a_key_that_is_there_twice_is_named_with_its_lines(content: str, lines: str) -> None:
    assert refusal(content) == f"{lines}; keep one of them"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is not JSON in line 1: Expecting value"),
        ('{\n"a": 1,\n}', "it is not JSON in line 3: "),
        (b'{\n"a": "\xff"}', "it is not UTF-8 in line 2"),
        ('{"a": ' + "9" * 5000 + "}", "it is not JSON: a number has too many digits"),
        ("[" * 100_000, "it is nested too deeply"),
        ("[]", "it is not a JSON object"),
    ],
)
def test_what_is_no_object_has_a_reason(content: str | bytes, message: str) -> None:
    assert refusal(content).startswith(message)


def test_equal_keys_of_different_objects_and_texts_with_signs_are_read() -> None:
    content = {"a": {"a": [{"a": 1}, {"a": "}{:"}]}, "b": '"a": {', "c": ["a", "a"], "d:": "\\"}
    assert parse_object(json.dumps(content).encode()) == content
