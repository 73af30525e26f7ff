"""InvokeEndpoint and InvokeEndpointWithResponseStream, as boto3 sees them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from tests.harness.waiting import wait_until


@pytest.fixture(scope="module")
def endpoint(sagemaker: Any) -> Any:
    return sagemaker.endpoint()


def stream(sagemaker: Any, endpoint: str, *chunks: str, **more: Any) -> Any:
    body = json.dumps({"chunks": chunks, **more})
    return sagemaker.runtime.invoke_endpoint_with_response_stream(EndpointName=endpoint, Body=body)


def test_the_answer_comes_back_with_its_type_and_variant(sagemaker: Any, endpoint: str) -> None:
    answer = sagemaker.runtime.invoke_endpoint(EndpointName=endpoint, Body=b'{"a": 1}')
    assert json.load(answer["Body"])["asked"] == {"a": 1}
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "Main"


def test_only_sagemakers_own_headers_reach_the_container(sagemaker: Any, endpoint: str) -> None:
    answer = sagemaker.runtime.invoke_endpoint(
        EndpointName=endpoint,
        Body=b"{}",
        ContentType="application/json",
        Accept="text/plain",
        CustomAttributes="adapter=terse",
        InferenceId="42",
        PrefixAwareId="terse",
    )
    headers = json.load(answer["Body"])["headers"]
    del headers["host"], headers["content-length"]
    assert headers == {
        "content-type": "application/json",
        "accept": "text/plain",
        "x-amzn-sagemaker-custom-attributes": "adapter=terse",
        "x-amzn-sagemaker-inference-id": "42",
    }


def test_a_containers_error_is_a_model_error_with_its_status_and_body(sagemaker: Any, endpoint: str) -> None:
    with pytest.raises(sagemaker.runtime.exceptions.ModelError) as error:
        sagemaker.runtime.invoke_endpoint(EndpointName=endpoint, Body=b'{"status": 422}')
    response = error.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 422
    assert json.loads(response["OriginalMessage"])["asked"] == {"status": 422}
    assert response["LogStreamArn"].endswith(f"/aws/sagemaker/Endpoints/{endpoint}")
    assert "Received client error (422) from primary" in response["Error"]["Message"]


def test_an_unknown_endpoint_is_named_with_its_account(sagemaker: Any) -> None:
    with pytest.raises(ClientError) as error:
        sagemaker.runtime.invoke_endpoint(EndpointName="nobody", Body=b"{}")
    assert error.value.response["Error"] == {
        "Code": "ValidationError",
        "Message": "Endpoint nobody of account 000000000000 not found.",
    }


def test_an_endpoint_that_is_not_in_service_is_not_found(sagemaker: Any) -> None:
    model = sagemaker.model(Environment={"NEVER_HEALTHY": "1"})
    creating = sagemaker.begin(sagemaker.config(model))
    with pytest.raises(ClientError, match="ValidationError.*not found"):
        sagemaker.runtime.invoke_endpoint(EndpointName=creating, Body=b"{}")


def test_an_unknown_variant_is_refused(sagemaker: Any, endpoint: str) -> None:
    with pytest.raises(ClientError, match="has no variant Other"):
        sagemaker.runtime.invoke_endpoint(EndpointName=endpoint, Body=b"{}", TargetVariant="Other")


def test_a_stream_arrives_in_parts_with_containers_content_type(sagemaker: Any, endpoint: str) -> None:
    answer = stream(sagemaker, endpoint, "one", "two", "three", pause=0.2)
    assert answer["ContentType"] == "text/event-stream"
    assert answer["InvokedProductionVariant"] == "Main"
    parts = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]
    assert parts == [b"one", b"two", b"three"]


def test_a_stream_carries_large_and_non_ascii_parts_whole(sagemaker: Any, endpoint: str) -> None:
    text = "üñí" * 200_000
    answer = stream(sagemaker, endpoint, text)
    assert b"".join(event["PayloadPart"]["Bytes"] for event in answer["Body"]).decode() == text


def test_a_stream_that_container_breaks_ends_in_an_error_event(sagemaker: Any, endpoint: str) -> None:
    events = iter(stream(sagemaker, endpoint, "one", "break", pause=0.2)["Body"])
    assert next(events)["PayloadPart"]["Bytes"] == b"one"
    with pytest.raises(EventStreamError, match="ModelStreamError"):
        next(events)


def test_an_error_before_the_first_part_is_a_model_error(sagemaker: Any, endpoint: str) -> None:
    with pytest.raises(sagemaker.runtime.exceptions.ModelError) as error:
        sagemaker.runtime.invoke_endpoint_with_response_stream(EndpointName=endpoint, Body=b'{"status": 503}')
    assert error.value.response["OriginalStatusCode"] == 503


def test_container_notices_when_reader_of_a_stream_goes_away(sagemaker: Any, endpoint: str) -> None:
    def abandoned() -> int:
        answer = sagemaker.runtime.invoke_endpoint(EndpointName=endpoint, Body=b"{}")
        return int(json.load(answer["Body"])["abandoned"])

    before = abandoned()
    answer = stream(sagemaker, endpoint, *["part"] * 500, pause=0.1)
    next(iter(answer["Body"]))
    answer["Body"].close()
    wait_until(lambda: abandoned() == before + 1, "the container's request has ended")


def test_a_body_beyond_the_limit_is_refused(sagemaker: Any, endpoint: str) -> None:
    with pytest.raises(ClientError, match="larger than 6291456 bytes"):
        sagemaker.runtime.invoke_endpoint(EndpointName=endpoint, Body=b" " * 6_291_457)
