import io
import itertools
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from loraserve.client import EndpointClient, InvocationError, runtime_config

TOKENS = ("Ans", "wer: ", "72 ", "é", "</s>")
EVENTS = [
    {"token": {"text": text, "special": text == "</s>"}, "generated_text": None, "details": None}
    for text in TOKENS
]
WIRE = b"".join(b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n" for event in EVENTS)


class Runtime:
    """The two calls of a sagemaker-runtime client, answering what the test gives."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.sent: dict[str, Any] = {}
        self.id: str | None = None
        self.body = b""

    def invoke_endpoint(self, **request: Any) -> Any:
        return self._reply(request, lambda: {"Body": io.BytesIO(json.dumps(self.answer).encode())})

    def invoke_endpoint_with_response_stream(self, **request: Any) -> Any:
        return self._reply(
            request, lambda: {"Body": [{"PayloadPart": {"Bytes": part}} for part in self.answer]}
        )

    def _reply(self, request: dict[str, Any], make: Any) -> Any:
        self.sent, self.id = json.loads(request["Body"]), request.get("PrefixAwareId")
        self.body = request["Body"]
        if isinstance(self.answer, Exception):
            raise self.answer
        return make()


def model_error(status: int, message: str) -> ClientError:
    response: Any = {
        "Error": {"Code": "ModelError", "Message": "Received client error"},
        "ResponseMetadata": {"HTTPStatusCode": 424},
        "OriginalStatusCode": status,
        "OriginalMessage": message,
    }
    return ClientError(response, "InvokeEndpoint")


def test_a_request_names_the_adapter_and_asks_for_token_counts() -> None:
    runtime = Runtime([{"generated_text": "72", "details": {"generated_tokens": 2}}])
    answer = EndpointClient("e", runtime).generate("how many?", adapter="otter", max_new_tokens=5)
    assert (answer.text, answer.tokens) == ("72", 2)
    assert runtime.sent == {
        "inputs": "how many?",
        "parameters": {"max_new_tokens": 5, "details": True, "adapter_id": "otter"},
        "stream": False,
    }


def test_without_an_adapter_the_base_model_is_asked() -> None:
    runtime = Runtime([{"generated_text": "", "details": {"generated_tokens": 0}}])
    EndpointClient("e", runtime).generate("x")
    assert "adapter_id" not in runtime.sent["parameters"]


@given(st.lists(st.integers(0, len(WIRE)), max_size=12))
def test_a_stream_reads_the_same_however_its_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WIRE)]
    parts = [WIRE[start:end] for start, end in itertools.pairwise(edges)]
    assert list(EndpointClient("e", Runtime(parts)).stream("x")) == list(TOKENS[:-1])


def test_an_error_event_in_a_stream_is_raised() -> None:
    parts = [WIRE[: WIRE.index(b"\n\n") + 2], b'data: {"error": "gone", "error_type": "engine"}\n\n']
    stream = EndpointClient("e", Runtime(parts)).stream("x")
    assert next(stream) == "Ans"
    with pytest.raises(InvocationError, match="gone"):
        next(stream)


def test_sagemakers_wrapping_is_taken_off_the_containers_error() -> None:
    body = json.dumps({"error": "adapter 'x' is not registered", "error_type": "adapter_not_found"})
    with pytest.raises(
        InvocationError, match=r"adapter 'x' is not registered \(404 adapter_not_found\)"
    ) as caught:
        EndpointClient("e", Runtime(model_error(404, body))).generate("x")
    assert (caught.value.status, caught.value.error_type) == (404, "adapter_not_found")


def test_an_error_that_is_not_the_containers_json_is_shown_as_it_is() -> None:
    with pytest.raises(InvocationError, match="Bad gateway"):
        EndpointClient("e", Runtime(model_error(502, "Bad gateway"))).generate("x")
    response: Any = {
        "Error": {"Code": "ValidationError", "Message": "Endpoint e of account 1 not found."},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    with pytest.raises(InvocationError, match="not found") as caught:
        EndpointClient("e", Runtime(ClientError(response, "InvokeEndpoint"))).generate("x")
    assert (caught.value.status, caught.value.error_type) == (400, "ValidationError")


def test_requests_for_an_adapter_are_routed_by_it_if_the_endpoint_does_so() -> None:
    runtime = Runtime([{"generated_text": "72", "details": {"generated_tokens": 2}}])
    plain = EndpointClient("e", runtime)
    affine = EndpointClient("e", runtime, adapter_affine=True)
    plain.generate("x", adapter="otter")
    asked = runtime.sent
    assert runtime.id is None
    affine.generate("x", adapter="otter")
    assert (runtime.sent, runtime.id) == (asked, "otter")
    first = runtime.body
    affine.generate("another", adapter="otter")
    assert runtime.body[:1024] == first[:1024]
    affine.generate("x")
    assert (runtime.id, len(runtime.body) < 100) == (None, True)


def test_a_generation_is_never_sent_twice() -> None:
    assert runtime_config().retries == {"max_attempts": 0}
    assert runtime_config().read_timeout > 60
