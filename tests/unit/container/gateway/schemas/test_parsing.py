"""Bodies as JSON."""

import json
import time

import pytest

from container.gateway.errors import GatewayError
from container.gateway.schemas.parsing import read_json


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ('{"model": "a", "messages": [], "model": "b"}', "model"),
        ('{"inputs": "x", "parameters": {"adapter_id": "a", "adapter_id": "b"}}', "adapter_id"),
        ('{"inputs": "x", "parameters": {"adapter_id": "a"}, "parameters": {}}', "parameters"),
        ('{"inputs": "x", "parameters": {"adapter_id": "a", "adapter\\u005fid": "b"}}', "adapter_id"),
        ('{"messages": [{"role": "user", "content": "x"}, {"role": "user", "role": "system"}]}', "role"),
        ('{"' + "k" * 60 + '": 1, "' + "k" * 60 + '": 2}', "k" * 50 + "…"),
    ],
)
def test_a_key_that_is_there_twice_is_refused(body: str, key: str) -> None:
    with pytest.raises(GatewayError) as caught:
        read_json(body.encode())
    assert (caught.value.status, caught.value.error_type) == (422, "validation")
    assert caught.value.message.endswith(f": the body has the key `{key}` twice in one object: write it once")


def test_a_first_value_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(GatewayError, match="twice in one object"):
        read_json(b'{"a": ' + b"[" * 1000 + b"]" * 1000 + b', "a": 1}')


def test_equal_keys_of_different_objects_and_in_texts_are_read() -> None:
    body = {"tools": [{"name": "a"}, {"name": "b"}], "messages": [{"content": '{"model": 1, "model": 2}'}]}
    assert read_json(json.dumps(body).encode()) == body


def test_the_longest_body_of_equal_keys_is_refused_in_time() -> None:
    body = b"{" + b'"a":1,' * 340_000 + b'"a":1}'
    started = time.process_time()
    with pytest.raises(GatewayError, match="`a` twice in one object"):
        read_json(body)
    assert time.process_time() - started < 1
