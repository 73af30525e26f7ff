"""A container, and the platform on its behalf, act with the model's execution role."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any
from urllib.request import Request, urlopen

import pytest

WHO = "import boto3; print(boto3.client('sts', 'us-east-1').get_caller_identity()['Arn'])"


def environment_of(sagemaker: Any, endpoint: str) -> dict[str, str]:
    answer = sagemaker.runtime.invoke_endpoint(EndpointName=endpoint, Body=b"{}")
    environment: dict[str, str] = json.load(answer["Body"])["environment"]
    return environment


def test_an_sdk_in_the_container_acts_with_the_models_role(sagemaker: Any) -> None:
    environment = environment_of(sagemaker, sagemaker.endpoint())
    said = subprocess.run(
        [sys.executable, "-c", WHO], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout == "arn:aws:sts::000000000000:assumed-role/execution/SageMaker\n"


def test_credentials_last_an_hour_and_need_the_containers_token(sagemaker: Any) -> None:
    environment = environment_of(sagemaker, sagemaker.endpoint())
    url = environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    token = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
    with urlopen(Request(url, headers={"Authorization": token})) as answer:  # noqa: S310 — it is http
        given = json.load(answer)
    assert set(given) == {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
    assert given["AccessKeyId"].startswith("ASIA")
    with pytest.raises(OSError, match="401"):
        urlopen(Request(url, headers={"Authorization": token[:-1]}))  # noqa: S310 — it is http


def test_a_model_without_a_role_fails_and_says_so(sagemaker: Any) -> None:
    name = "roleless"
    sagemaker.api.create_model(ModelName=name, PrimaryContainer={"Image": "localhost/echo"})
    failed = sagemaker.settled(sagemaker.begin(sagemaker.config(name)))
    assert failed["EndpointStatus"] == "Failed"
    assert "model roleless has no ExecutionRoleArn" in failed["FailureReason"]


def test_what_a_container_says_is_in_cloudwatch_even_of_one_that_fails(cloud: Any, sagemaker: Any) -> None:
    model = sagemaker.model(Environment={"FAIL_WITH": "there is no such GPU"})
    endpoint = sagemaker.begin(sagemaker.config(model))
    assert sagemaker.settled(endpoint)["EndpointStatus"] == "Failed"
    logs = cloud.client("logs")
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    [stream] = logs.describe_log_streams(logGroupName=group)["logStreams"]
    variant, _, instance = stream["logStreamName"].partition("/")
    assert (variant, instance[:2]) == ("Main", "i-")
    events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    assert "there is no such GPU" in "\n".join(event["message"] for event in events)
    assert abs(events[0]["timestamp"] / 1000 - time.time()) < 60
