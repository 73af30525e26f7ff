"""SageMaker's errors, of which botocore's model of sagemaker-runtime has the codes and statuses."""

import json

import botocore.session
import pytest

from loraserve.load.refusal import refusal
from loraserve.load.result import LoadOutcome

#: Outcomes of the errors that botocore's model names; a stream's exceptions have no status.
EXPECTED = {
    "ModelError": LoadOutcome.MODEL_ERROR,
    "ModelNotReadyException": LoadOutcome.THROTTLED,
    "ValidationError": LoadOutcome.VALIDATION_ERROR,
    "ServiceUnavailable": LoadOutcome.SERVICE_ERROR,
    "InternalFailure": LoadOutcome.SERVICE_ERROR,
    "InternalDependencyException": LoadOutcome.SERVICE_ERROR,
}


def test_every_error_of_the_service_has_an_outcome() -> None:
    model = botocore.session.Session().get_service_model("sagemaker-runtime")
    shapes = {
        shape.name: shape
        for name in ("InvokeEndpoint", "InvokeEndpointWithResponseStream")
        for shape in model.operation_model(name).error_shapes
        if "httpStatusCode" in shape.metadata.get("error", {})
    }

    found = {
        name: refusal(
            shape.metadata["error"]["httpStatusCode"],
            {"x-amzn-errortype": f"{name}:http://x/"},
            b'{"Message": "m"}',
        )
        for name, shape in shapes.items()
    }

    assert {name: outcome for name, (outcome, _) in found.items()} == EXPECTED
    assert all(message.endswith("m") for _, message in found.values())


def answer(status: int, code: str, **members: object) -> tuple[LoadOutcome, str]:
    return refusal(status, {"x-amzn-errortype": code}, json.dumps(members).encode())


def test_a_model_error_shows_the_container_s_error() -> None:
    text = json.dumps({"error": "no such adapter", "error_type": "adapter_not_found"})

    found = answer(424, "ModelError", Message="Received …", OriginalStatusCode=404, OriginalMessage=text)

    assert found == (LoadOutcome.MODEL_ERROR, "404 adapter_not_found: no such adapter")
    assert answer(424, "ModelError", OriginalStatusCode=500, OriginalMessage="plain")[1] == "500 plain"


def test_sagemaker_s_time_out_is_a_time_out() -> None:
    text = "Your invocation timed out while waiting for a response from container primary."

    assert answer(424, "ModelError", OriginalStatusCode=0, OriginalMessage=text)[0] is LoadOutcome.TIMEOUT


@pytest.mark.parametrize("status", [400, 429])
def test_throttling_is_apart(status: int) -> None:
    assert answer(status, "ThrottlingException", message="Rate exceeded") == (
        LoadOutcome.THROTTLED,
        "ThrottlingException: Rate exceeded",
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ExpiredTokenException", "they have expired: sign in"),
        ("UnrecognizedClientException", "the access key is not known"),
        ("AccessDeniedException", "AccessDeniedException: m"),
    ],
)
def test_refused_credentials_have_a_remedy(code: str, words: str) -> None:
    outcome, message = answer(403, code, message="m")

    assert outcome is LoadOutcome.VALIDATION_ERROR
    assert words in message


def test_a_server_without_aws_s_header_is_the_container() -> None:
    body = b'{"error": "full", "error_type": "overloaded"}'

    assert refusal(429, {}, body) == (LoadOutcome.MODEL_ERROR, "429 overloaded: full")
    assert refusal(502, {}, b"<html>")[1] == "502 <html>"
    assert (
        refusal(400, {}, b'{"__type": "com.amazon#ValidationError", "message": "m"}')[0]
        is LoadOutcome.VALIDATION_ERROR
    )
