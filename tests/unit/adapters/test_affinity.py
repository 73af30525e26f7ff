"""Requests for prefix-aware routing, held against botocore's model of the service."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.affinity import PREFIX_BYTES, PREFIX_ID_HEADER, adapter_first, prefix_aware_id
from adapters.names import MAX_NAME_LENGTH, NAME_PATTERN
from laptop_cloud.api.service_model import violations
from stacks.project import ROOT

NAMES = st.from_regex(NAME_PATTERN, fullmatch=True).filter(lambda name: len(name) <= MAX_NAME_LENGTH)
PAGE = (ROOT / "docs" / "requests.md").read_text()
RUNTIME = botocore.session.Session().get_service_model("sagemaker-runtime")
MINIMUM = (
    botocore.session.Session().get_service_model("sagemaker").shape_for("PrefixAwareRoutingPrefixLength")
)


def lorax(adapter: str, prompt: str, **parameters: object) -> dict[str, object]:
    return {"inputs": prompt, "parameters": {**parameters, "adapter_id": adapter}, "stream": True}


def openai(adapter: str, prompt: str, **parameters: object) -> dict[str, object]:
    return {"prompt": prompt, **parameters, "model": adapter}


@given(st.one_of(NAMES, st.text(min_size=1)))
def test_the_service_takes_the_id_of_every_adapter(adapter: str) -> None:
    assert list(violations(RUNTIME.shape_for("PrefixAwareIdHeader"), prefix_aware_id(adapter))) == []


@pytest.mark.parametrize("length", [64, 65, MAX_NAME_LENGTH])
def test_a_long_name_has_an_id_that_differs_from_its_neighbours(length: int) -> None:
    one, other = "a" * (length - 1) + "b", "a" * (length - 1) + "c"
    assert prefix_aware_id(one) != prefix_aware_id(other)
    assert (prefix_aware_id(one) == one) is (length <= 64)


@pytest.mark.parametrize("operation", ["InvokeEndpoint", "InvokeEndpointWithResponseStream"])
def test_the_header_is_the_services(operation: str) -> None:
    member = RUNTIME.operation_model(operation).input_shape.members["PrefixAwareId"]
    assert member.serialization["name"] == PREFIX_ID_HEADER


@pytest.mark.parametrize("form", [lorax, openai])
@given(adapter=NAMES, prompts=st.tuples(st.text(), st.text()), tokens=st.integers())
def test_bodies_for_an_adapter_share_the_whole_prefix_and_lose_nothing(
    form: object, adapter: str, prompts: tuple[str, str], tokens: int
) -> None:
    assert callable(form)
    requests = [form(adapter, prompts[0], max_new_tokens=tokens), form(adapter, prompts[1])]
    bodies = [adapter_first(request) for request in requests]
    assert [json.loads(body) for body in bodies] == requests
    assert bodies[0][:PREFIX_BYTES] == bodies[1][:PREFIX_BYTES]
    assert bodies[0][:PREFIX_BYTES] != adapter_first(form(adapter + "x", prompts[0]))[:PREFIX_BYTES]


def test_the_prefix_is_the_shortest_that_the_service_takes_and_has_room_for_a_name_with_a_revision() -> None:
    assert MINIMUM.metadata["min"] == PREFIX_BYTES
    longest = "a" * MAX_NAME_LENGTH + "@" + "0" * 64
    assert b'"adapter_id": "%s"' % longest.encode() in adapter_first(lorax(longest, "?"))[:PREFIX_BYTES]


@pytest.mark.parametrize(
    "request_", [{"inputs": "ü"}, {"inputs": "a", "parameters": None}, {"model": "", "prompt": "a"}]
)
def test_a_request_of_the_base_model_is_not_padded(request_: dict[str, object]) -> None:
    body = adapter_first(request_)
    assert json.loads(body) == request_
    assert len(body) < 100


def test_the_documented_snippet_sends_what_the_clients_send() -> None:
    [snippet] = re.findall(r"\n## Adapter affinity\n.*?```python\n(.*?)```", PAGE, re.DOTALL)
    sent: dict[str, Any] = {}
    runtime = SimpleNamespace(invoke_endpoint=sent.update)
    exec(snippet, {"json": json, "runtime": runtime, "endpoint": "e", "adapter": "otter", "prompt": 'a "b"'})  # noqa: S102
    asked = {"inputs": 'a "b"', "parameters": {"adapter_id": "otter", "max_new_tokens": 64}}
    assert (sent["Body"], sent["PrefixAwareId"]) == (adapter_first(asked), prefix_aware_id("otter"))
