"""The load test's generator against the laptop cloud's SageMaker Runtime."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from botocore.credentials import Credentials

from loraserve.load.job import LoadJob
from loraserve.load.processes import run
from loraserve.load.result import LoadOutcome, RequestResult
from loraserve.load.signing import endpoint_target
from loraserve.workload.workload import Workload


@pytest.fixture(scope="module")
def endpoint(sagemaker: Any) -> Any:
    return sagemaker.endpoint()


def send(sagemaker: Any, endpoint: str, *bodies: object, stream: bool) -> list[RequestResult]:
    """Send each body once, 20 a second."""
    count = len(bodies)
    requests = Workload(
        due_s=np.arange(count) / 20,
        adapter=np.full(count, -1, np.int32),
        input_tokens=np.ones(count, np.int32),
        output_tokens=np.ones(count, np.int32),
    )
    environment = sagemaker.cloud.environment
    keys = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    target = endpoint_target(sagemaker.runtime, endpoint, stream=stream)
    sent = [json.dumps(body).encode() for body in bodies]
    return run(LoadJob(target=target, workload=requests, bodies=sent), lambda _: None, keys).results


def event(text: str, whole: str | None = None) -> str:
    token = {"id": 1, "text": text, "logprob": 0.0, "special": False, "skipped": False}
    return f"data: {json.dumps({'token': token, 'generated_text': whole})}\n\n"


def test_streams_and_their_failures(sagemaker: Any, endpoint: str) -> None:
    whole = [event("An"), event(" otter", "An otter")]

    good, broken, short, refused = send(
        sagemaker,
        endpoint,
        {"chunks": whole, "pause": 0.1},
        {"chunks": [whole[0], "break"]},
        {"chunks": whole[:1]},
        {"status": 422},
        stream=True,
    )

    assert (good.outcome, good.text, good.output_tokens) == (LoadOutcome.OK, "An otter", 2)
    assert len(good.token_gaps_s) == 1
    assert good.token_gaps_s[0] > 0.05
    assert broken.outcome is LoadOutcome.STREAM_ERROR
    assert str(broken.message).startswith(
        "ModelStreamError StreamBroken: the connection to the container broke"
    )
    assert short.outcome is LoadOutcome.CUT
    assert refused.outcome is LoadOutcome.MODEL_ERROR
    assert str(refused.message).startswith("422 ")


def test_whole_answers(sagemaker: Any, endpoint: str) -> None:
    [good, refused] = send(sagemaker, endpoint, {"a": 1}, {"status": 503}, stream=False)

    assert good.outcome is LoadOutcome.OK
    assert json.loads(good.text or "")["asked"] == {"a": 1}
    assert refused.outcome is LoadOutcome.MODEL_ERROR


def test_an_unknown_endpoint_is_a_validation_error(sagemaker: Any) -> None:
    [result] = send(sagemaker, "absent", {}, stream=True)

    assert result.outcome is LoadOutcome.VALIDATION_ERROR
    assert result.message == "ValidationError: Endpoint absent of account 000000000000 not found."
