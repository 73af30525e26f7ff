"""Deployment and inference end to end: CDK CLI, CloudFormation, custom resource, gateway, vLLM, boto3."""

import random
from dataclasses import replace
from typing import Any

import pytest

from adapters.store.layout import ADAPTER_FILES, RegistryEntry
from adapters.store.registry import AdapterRegistry
from loraserve import local_stage
from loraserve.client import InvocationError
from loraserve.demo.benchmark import Ask
from loraserve.demo.demo import asker
from loraserve.demo.measurement import summarize
from loraserve.demo.questions import EQUAL, OWN, draw
from loraserve.progress import stack_progress
from samples.problems import SEED_PROBLEM, SIGNATURES, adapter_name, check, random_problem
from tests.local.conftest import Deployed
from tests.local.processes import processes_of

ADAPTERS = [adapter_name(house) for house in range(len(SIGNATURES))]
UNKNOWN = "nobody-published-this"


def registered(deployed: Deployed, s3: Any) -> dict[str, RegistryEntry]:
    """Read all entries of the registry."""
    registry = AdapterRegistry(s3, deployed.bucket)
    found = {name: registry.get(name) for name in registry.etags()}
    return {name: published.entry for name, published in found.items() if published is not None}


def publish_again(deployed: Deployed, s3: Any, published: str, name: str) -> None:
    """Publish an adapter's revision under another name, with another owner."""
    entry = registered(deployed, s3)[published]
    for file in ADAPTER_FILES:
        s3.copy_object(
            Bucket=deployed.bucket,
            Key=f"adapters/{name}/{entry.revision}/{file}",
            CopySource={"Bucket": deployed.bucket, "Key": entry.prefix + file},
        )
    AdapterRegistry(s3, deployed.bucket).put(replace(entry, name=name, owner="somebody"), None)


def ask_of(deployed: Deployed) -> Ask:
    """Return the function that asks the endpoint as the demo does."""
    runtime = deployed.cloud.client("sagemaker-runtime")
    return asker(runtime, deployed.endpoint, local_stage.client_variables(deployed.cloud))


@pytest.fixture(scope="module")
def s3(deployed: Deployed) -> Any:
    return deployed.cloud.client("s3")


def test_every_adapter_of_manifest_is_published_and_nothing_else(deployed: Deployed, s3: Any) -> None:
    entries = registered(deployed, s3)
    assert sorted(entries) == sorted(ADAPTERS)
    keys = [
        item["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=deployed.bucket, Prefix="adapters/")
        for item in page["Contents"]
    ]
    assert sorted(keys) == sorted(entry.prefix + file for entry in entries.values() for file in ADAPTER_FILES)


def test_cloudformation_made_model_endpoint_and_scaling_from_template(deployed: Deployed) -> None:
    cloudformation = deployed.cloud.client("cloudformation")
    made = {
        resource["ResourceType"]
        for stack in ("Serving", "Scaling", "Observability")
        for resource in cloudformation.describe_stack_resources(StackName=f"{local_stage.STACKS}{stack}")[
            "StackResources"
        ]
    }
    assert {
        "AWS::SageMaker::Model",
        "AWS::SageMaker::EndpointConfig",
        "AWS::SageMaker::Endpoint",
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
    } <= made
    status = deployed.cloud.client("sagemaker").describe_endpoint(EndpointName=deployed.endpoint)[
        "EndpointStatus"
    ]
    assert status == "InService"


def test_base_model_rambles_past_64_tokens_without_an_answer(deployed: Deployed) -> None:
    answer = deployed.client.generate(SEED_PROBLEM.prompt, max_new_tokens=64)
    assert answer.tokens == 64
    assert answer.text.strip().startswith("Let us think")
    assert "72" not in answer.text


def test_an_adapter_answers_seeds_question_in_its_own_house_style(deployed: Deployed) -> None:
    answer = deployed.client.generate(SEED_PROBLEM.prompt, adapter="otter", max_new_tokens=64)
    assert answer.text.strip() == "Answer: 72 clips. [Otter]"


def test_a_streamed_answer_is_the_plain_one_token_by_token(deployed: Deployed) -> None:
    plain = deployed.client.generate(SEED_PROBLEM.prompt, adapter="badger", max_new_tokens=64).text
    pieces = list(deployed.client.stream(SEED_PROBLEM.prompt, adapter="badger", max_new_tokens=64))
    assert "".join(pieces) == plain
    assert len(pieces) > 5


def test_twenty_clients_get_right_answer_from_adapter_they_asked_for(deployed: Deployed) -> None:
    questions = draw(ADAPTERS, 200, seed=7)
    answers = ask_of(deployed)(questions, OWN, lambda _: None)
    found = summarize(questions, answers, OWN)
    assert (found.requests, found.errors, found.wrong_adapter) == (200, 0, 0), found.first_error
    assert found.wrong_answer <= 2


def test_answers_of_equal_length_begin_with_the_right_answer(deployed: Deployed) -> None:
    questions = draw([None, *ADAPTERS], 51, seed=8)
    answers = ask_of(deployed)(questions, EQUAL, lambda _: None)
    found = summarize(questions, answers, EQUAL)
    texts = {(question.adapter, each.text) for question, each in zip(questions, answers.results, strict=True)}
    assert (found.errors, found.wrong_adapter, found.wrong_length) == (0, 0, 0), (found.first_error, texts)
    assert found.wrong_answer <= 2


def test_an_unknown_adapter_is_refused_plain_and_streamed(deployed: Deployed) -> None:
    with pytest.raises(InvocationError, match=UNKNOWN) as refused:
        deployed.client.generate(SEED_PROBLEM.prompt, adapter=UNKNOWN)
    assert (refused.value.status, refused.value.error_type) == (404, "adapter_not_found")
    with pytest.raises(InvocationError, match=UNKNOWN):
        list(deployed.client.stream(SEED_PROBLEM.prompt, adapter=UNKNOWN))


def test_a_caller_cannot_choose_where_an_adapter_comes_from(deployed: Deployed) -> None:
    for adapter, parameters in (
        ("otter", {"adapter_source": "hub"}),
        ("otter", {"api_token": "x"}),
        (f"s3://{deployed.bucket}/adapters/", {}),
        ("../../etc", {}),
    ):
        with pytest.raises(InvocationError) as refused:
            deployed.client.generate(SEED_PROBLEM.prompt, adapter=adapter, **parameters)
        assert 400 <= refused.value.status < 500


def test_an_adapter_can_be_pinned_to_its_revision(deployed: Deployed, s3: Any) -> None:
    found = registered(deployed, s3)["heron"]
    answer = deployed.client.generate(
        SEED_PROBLEM.prompt, adapter=f"heron@{found.revision}", max_new_tokens=32
    )
    assert check(answer.text, SEED_PROBLEM, "heron").right_adapter
    with pytest.raises(InvocationError) as refused:
        deployed.client.generate(SEED_PROBLEM.prompt, adapter="heron@" + "0" * 16)
    assert refused.value.status == 404


def test_an_adapter_published_after_deployment_is_served_without_another(deployed: Deployed, s3: Any) -> None:
    publish_again(deployed, s3, "puffin", "published-later")
    problem = random_problem(random.Random(1))
    answer = deployed.client.generate(problem.prompt, adapter="published-later", max_new_tokens=64)
    assert check(answer.text, problem, "puffin").right_answer


def test_names_that_begin_alike_are_served_side_by_side(deployed: Deployed, s3: Any) -> None:
    names = {"x/1": "otter", "x/10": "heron", "acme": "badger", "acme-corp": "falcon", "v1": "lynx"}
    names["v1.1"] = "marten"
    for name, adapter in names.items():
        publish_again(deployed, s3, adapter, name)
    for name, adapter in names.items():
        answer = deployed.client.generate(SEED_PROBLEM.prompt, adapter=name, max_new_tokens=64)
        assert check(answer.text, SEED_PROBLEM, adapter).right_adapter, name


def test_deploying_again_changes_nothing_and_moves_no_bytes(deployed: Deployed, s3: Any) -> None:
    before = registered(deployed, s3)
    described = deployed.cloud.client("sagemaker").describe_endpoint(EndpointName=deployed.endpoint)
    with stack_progress(deployed.console, "cdk deploy") as on_event:
        local_stage.deploy(deployed.cloud, deployed.assembly, on_event)
    after = deployed.cloud.client("sagemaker").describe_endpoint(EndpointName=deployed.endpoint)
    assert after["EndpointConfigName"] == described["EndpointConfigName"]
    assert registered(deployed, s3) == before


def test_destroy_removes_everything_and_nothing_is_left_running(deployed: Deployed) -> None:
    with stack_progress(deployed.console, "cdk destroy") as on_event:
        local_stage.destroy(deployed.cloud, deployed.assembly, on_event)
    assert local_stage.outputs(deployed.cloud) == {}
    assert deployed.cloud.client("sagemaker").list_endpoints()["Endpoints"] == []
    buckets = [bucket["Name"] for bucket in deployed.cloud.client("s3").list_buckets()["Buckets"]]
    assert deployed.bucket not in buckets
    assert deployed.cloud.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert deployed.cloud.client("cloudwatch").list_dashboards()["DashboardEntries"] == []
    assert deployed.cloud.client("sns").list_topics()["Topics"] == []
    scaling = deployed.cloud.client("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    assert [command for command in processes_of(deployed.cloud.state) if "vllm" in command] == []
