"""Checks of a stage after its deployment, against answers that botocore's service models accept."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from rich.console import Console

from loraserve import deployed
from loraserve.deployed import NotAsDeployed, check_answers, check_config, check_metrics
from stacks.config.loading import load_stages
from stacks.config.manifest import Manifest
from stacks.project import ROOT

[DEV] = load_stages(ROOT / "stages", "dev")
STAGE = DEV.model_copy(update={"manifest": Manifest.model_validate({"adapters": []})})
ENDPOINT = "LoraServing-Dev-Serving"
CONFIG = "EndpointConfig-AbC123"
ARN = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/{CONFIG}"
THEN = datetime(2026, 11, 27, tzinfo=UTC)


class Cloud:
    """Clients with prepared answers; all of them must be used, in order."""

    def __init__(self) -> None:
        session = boto3.Session("key", "secret", region_name="us-east-1")
        services = ("sagemaker", "cloudformation", "cloudwatch", "s3", "sagemaker-runtime")
        self.clients = {name: session.client(name) for name in services}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        self.output = io.StringIO()
        self.console = Console(file=self.output, width=1000)

    def __call__(self, service: str, config: Any = None) -> Any:
        return self.clients[service]

    def answers(self, service: str, call: str, answer: dict[str, Any]) -> None:
        self.stubs[service].add_response(call, answer)

    def refuses(self, service: str, call: str, code: str, **response: Any) -> None:
        self.stubs[service].add_client_error(call, code, "no", modeled_fields=response)

    def physical(self, config: str = ARN) -> None:
        detail = {
            "LogicalResourceId": "EndpointConfig",
            "ResourceType": "AWS::SageMaker::EndpointConfig",
            "PhysicalResourceId": config,
            "LastUpdatedTimestamp": THEN,
            "ResourceStatus": "CREATE_COMPLETE",
        }
        self.answers("cloudformation", "describe_stack_resource", {"StackResourceDetail": detail})

    def endpoint(self, status: str = "InService", config: str = CONFIG, **more: Any) -> None:
        described = {
            "EndpointName": ENDPOINT,
            "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e",
            "EndpointConfigName": config,
            "EndpointStatus": status,
            "CreationTime": THEN,
            "LastModifiedTime": THEN,
            "ProductionVariants": [{"VariantName": "AllTraffic"}],
        }
        self.answers("sagemaker", "describe_endpoint", described | more)

    def config(self, **more: Any) -> None:
        described = {
            "EndpointConfigName": CONFIG,
            "EndpointConfigArn": ARN,
            "ProductionVariants": [{"VariantName": "AllTraffic"}],
            "CreationTime": THEN,
        }
        self.answers("sagemaker", "describe_endpoint_config", described | more)

    def generates(self, adapter: str | None) -> None:
        body = json.dumps([{"generated_text": "hi", "details": {"generated_tokens": 1}}]).encode()
        named = f"adapter={adapter};request=1" if adapter else "request=1"
        answer = {"Body": StreamingBody(io.BytesIO(body), len(body)), "CustomAttributes": named}
        self.answers("sagemaker-runtime", "invoke_endpoint", answer)

    def fails(self, status: int, error_type: str) -> None:
        message = json.dumps({"error": "not today", "error_type": error_type})
        self.refuses(
            "sagemaker-runtime", "invoke_endpoint", "ModelError", OriginalStatusCode=status, OriginalMessage=message
        )  # fmt: skip

    def metric(self, *values: float) -> None:
        found = {"Id": "instances", "Timestamps": [THEN] * len(values), "Values": list(values)}
        self.answers("cloudwatch", "get_metric_data", {"MetricDataResults": [found]})


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setattr(deployed, "LOOK_SECONDS", 0.001)
    made = Cloud()
    with ExitStack() as stack:
        for stub in made.stubs.values():
            stack.enter_context(stub)
        yield made
    for stub in made.stubs.values():
        stub.assert_no_pending_responses()


@pytest.mark.parametrize("physical", [ARN, ARN.lower(), CONFIG, CONFIG.lower()])
def test_the_deployed_config_is_found_whatever_the_case_of_its_arn(cloud: Cloud, physical: str) -> None:
    cloud.physical(physical)
    cloud.endpoint()
    cloud.config()
    check_config(cloud.console, STAGE.target, cloud)
    assert cloud.output.getvalue() == ""


def test_an_update_under_way_is_waited_for(cloud: Cloud) -> None:
    cloud.physical()
    cloud.endpoint("Updating", "older")
    cloud.endpoint("RollingBack", "older")
    cloud.endpoint()
    cloud.config()
    check_config(cloud.console, STAGE.target, cloud)


@pytest.mark.parametrize(("status", "config"), [("InService", "older"), ("UpdateRollbackFailed", CONFIG)])
def test_an_endpoint_that_is_not_as_deployed_is_an_error(cloud: Cloud, status: str, config: str) -> None:
    cloud.physical()
    cloud.endpoint(status, config, FailureReason="an alarm")
    with pytest.raises(NotAsDeployed, match=f"is {status} on {config}; deployed was {CONFIG}: an alarm"):
        check_config(cloud.console, STAGE.target, cloud)


def live(percent: int, enabled: bool = True) -> dict[str, Any]:
    return {
        "DataCaptureConfig": {
            "EnableCapture": enabled,
            "CaptureStatus": "Started" if enabled else "Stopped",
            "CurrentSamplingPercentage": percent,
            "DestinationS3Uri": "s3://bucket/captured",
            "KmsKeyId": "",
        }
    }


def wanted(percent: int) -> dict[str, Any]:
    return {
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": percent,
            "DestinationS3Uri": "s3://bucket/captured",
            "CaptureOptions": [{"CaptureMode": "Input"}],
        }
    }


@pytest.mark.parametrize(
    ("live", "wanted", "warning"),
    [
        (live(20), wanted(20), None),
        (live(20, enabled=False), {}, None),
        (live(20), wanted(5), "records 20 % of its requests, and the stage file says 5 %"),
        (live(20), {}, "records 20 % of its requests, and the stage file says 0 %"),
        ({}, wanted(5), "records 0 % of its requests, and the stage file says 5 %"),
    ],
    ids=["same", "off", "other", "still on", "not on"],
)
def test_a_retained_share_of_captured_requests_is_a_warning(
    cloud: Cloud, live: dict[str, Any], wanted: dict[str, Any], warning: str | None
) -> None:
    cloud.physical()
    cloud.endpoint(**live)
    cloud.config(**wanted)
    check_config(cloud.console, STAGE.target, cloud)
    assert (warning or "") in cloud.output.getvalue()
    assert bool(cloud.output.getvalue()) == (warning is not None)


def adapters(*names: str) -> Any:
    listed = [{"name": name, "source": f"./{name}"} for name in names]
    return STAGE.model_copy(update={"manifest": Manifest.model_validate({"adapters": listed})})


def store(cloud: Cloud, *names: str) -> None:
    stack = {
        "StackName": "LoraServing-Dev-AdapterStore",
        "CreationTime": THEN,
        "StackStatus": "CREATE_COMPLETE",
        "Outputs": [{"OutputKey": "AdapterBucket", "OutputValue": "the-bucket"}],
    }
    cloud.answers("cloudformation", "describe_stacks", {"Stacks": [stack]})
    contents = [{"Key": f"registry/{name}.json", "ETag": '"1"', "Size": 1} for name in names]
    cloud.answers("s3", "list_objects_v2", {"Contents": contents, "IsTruncated": False})


def test_base_model_and_an_adapter_answer(cloud: Cloud) -> None:
    cloud.generates(None)
    cloud.generates("team/otter@0123")
    check_answers(cloud.console, adapters("team/otter", "heron"), cloud)
    output = cloud.output.getvalue()
    assert "the base model answers in" in output
    assert "adapter 'team/otter' answers in" in output


@pytest.mark.parametrize("published", [(), ("heron",)])
def test_an_empty_manifest_leaves_what_was_published_by_command(
    cloud: Cloud, published: tuple[str, ...]
) -> None:
    cloud.generates(None)
    store(cloud, *published)
    for name in published:
        cloud.generates(f"{name}@0123")
    check_answers(cloud.console, STAGE, cloud)


@pytest.mark.parametrize(("asked", "by"), [(None, "otter@01"), ("otter", None), ("otter", "otter2@01")])
def test_an_answer_of_another_model_is_an_error(cloud: Cloud, asked: str | None, by: str | None) -> None:
    if asked:
        cloud.generates(None)
    cloud.generates(by)
    with pytest.raises(NotAsDeployed, match=f"the answer is of {by or 'the base model'}"):
        check_answers(cloud.console, adapters("otter"), cloud)


def test_a_broken_adapter_is_a_warning_while_another_answers(cloud: Cloud) -> None:
    cloud.generates(None)
    cloud.fails(424, "adapter_load_failed")
    cloud.generates("heron@0123")
    check_answers(cloud.console, adapters("otter", "heron"), cloud)
    assert "! LoraServing-Dev-Serving: adapter 'otter' does not answer: not today" in cloud.output.getvalue()


def test_no_adapter_that_answers_is_an_error_with_each_reason(cloud: Cloud) -> None:
    cloud.generates(None)
    cloud.fails(424, "adapter_load_failed")
    cloud.fails(409, "adapter_incompatible")
    with pytest.raises(NotAsDeployed, match="'otter' does not answer.*'heron' does not answer.*409"):
        check_answers(cloud.console, adapters("otter", "heron"), cloud)


def test_a_busy_endpoint_is_asked_again_for_a_time(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.fails(429, "overloaded")
    cloud.fails(503, "starting")
    cloud.generates(None)
    store(cloud)
    check_answers(cloud.console, STAGE, cloud)
    monkeypatch.setattr(deployed, "BUSY_SECONDS", 0)
    cloud.fails(503, "engine_dead")
    with pytest.raises(NotAsDeployed, match="the base model does not answer: not today"):
        check_answers(cloud.console, STAGE, cloud)


def test_credentials_that_may_not_invoke_are_a_warning(cloud: Cloud) -> None:
    cloud.refuses("sagemaker-runtime", "invoke_endpoint", "AccessDeniedException")
    check_answers(cloud.console, STAGE, cloud)
    assert "the endpoint was not asked" in cloud.output.getvalue()


def test_the_first_metric_ends_the_wait(cloud: Cloud) -> None:
    cloud.endpoint()
    cloud.metric()
    cloud.metric(2)
    assert check_metrics(cloud.console, STAGE, cloud)
    assert "✓ its metrics reach CloudWatch" in cloud.output.getvalue()


def test_no_metric_is_a_warning_with_the_likely_reasons(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployed, "METRIC_SECONDS", 0)
    cloud.endpoint()
    cloud.metric()
    assert not check_metrics(cloud.console, STAGE, cloud)
    assert "its alarms would not be raised" in cloud.output.getvalue()
    assert f"/aws/sagemaker/Endpoints/{ENDPOINT}" in cloud.output.getvalue()


def test_credentials_that_may_not_read_metrics_are_a_warning(cloud: Cloud) -> None:
    cloud.endpoint()
    cloud.refuses("cloudwatch", "get_metric_data", "AccessDenied")
    assert not check_metrics(cloud.console, STAGE, cloud)
    assert "were not looked up" in cloud.output.getvalue()
