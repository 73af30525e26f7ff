"""Checks of a stage after its deployment, against answers that botocore's service models accept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from loraserve import deployed
from loraserve.deployed import check_answers, check_metrics
from loraserve.verify.serving import NotAsDeployed
from stacks.config.loading import load_stages
from stacks.config.manifest import Manifest
from stacks.project import ROOT
from tests.unit.loraserve.stubbed_cloud import ENDPOINT, THEN, Cloud

[DEV] = load_stages(ROOT / "stages", "dev")
STAGE = DEV.model_copy(update={"manifest": Manifest.model_validate({"adapters": []})})


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setattr(deployed, "LOOK_SECONDS", 0.001)
    made = Cloud()
    with made.stubbed():
        yield made


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
