"""The life cycle of an endpoint: real processes, and the reason of a failure."""

from __future__ import annotations

import json
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from adapters.affinity import PREFIX_BYTES, adapter_first, prefix_aware_id
from tests.harness.waiting import wait_until


def invoke(sagemaker: Any, endpoint: str, **asked: Any) -> Any:
    answer = sagemaker.runtime.invoke_endpoint(EndpointName=endpoint, Body=json.dumps(asked))
    return json.load(answer["Body"])


def test_an_endpoint_comes_into_service_and_is_gone_when_deleted(sagemaker: Any) -> None:
    endpoint = sagemaker.endpoint()
    pid = invoke(sagemaker, endpoint)["pid"]
    assert psutil.pid_exists(pid)
    sagemaker.delete(endpoint)
    assert not psutil.pid_exists(pid)
    with pytest.raises(ClientError, match="Could not find endpoint"):
        sagemaker.api.describe_endpoint(EndpointName=endpoint)


def test_nothing_that_a_container_started_outlives_it(cloud: Any, sagemaker: Any, processes_of: Any) -> None:
    endpoint = sagemaker.endpoint()
    directory = cloud.state / "endpoints" / endpoint
    assert len(processes_of(directory)) >= 2
    sagemaker.delete(endpoint)
    assert processes_of(directory) == []


def test_the_container_sees_its_environment_and_nothing_of_the_users(cloud: Any, sagemaker: Any) -> None:
    model = sagemaker.model(Environment={"GREETING": "hello", "AWS_ENDPOINT_URL": "https://elsewhere"})
    said = invoke(sagemaker, sagemaker.endpoint(sagemaker.config(model)))["environment"]
    assert said["GREETING"] == "hello"
    assert said["AWS_ENDPOINT_URL"] == cloud.url
    assert said["HOME"].startswith(str(cloud.state))
    assert {name for name in said if name.startswith("AWS_")} == {
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_ENDPOINT_URL",
    }


def test_model_data_is_there_when_the_container_starts(cloud: Any, sagemaker: Any) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="model-data")
    s3.put_object(Bucket="model-data", Key="models/base/config.json", Body=b"{}")
    s3.put_object(Bucket="model-data", Key="models/base/deep/weights", Body=b"1 2 3")
    s3.put_object(Bucket="model-data", Key="models/other/config.json", Body=b"no")
    source = {"S3Uri": "s3://model-data/models/base/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    model = sagemaker.model(ModelDataSource={"S3DataSource": source})
    said = invoke(sagemaker, sagemaker.endpoint(sagemaker.config(model)))
    assert said["model"] == {"config.json": "{}", "deep/weights": "1 2 3"}


def failure(sagemaker: Any, model: str, **variant: Any) -> str:
    endpoint = sagemaker.begin(sagemaker.config(model, **variant))
    description = sagemaker.settled(endpoint)
    assert description["EndpointStatus"] == "Failed"
    return str(description["FailureReason"])


def test_missing_model_data_is_the_failure_reason(sagemaker: Any) -> None:
    source = {"S3Uri": "s3://no-such-bucket/x/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    model = sagemaker.model(ModelDataSource={"S3DataSource": source})
    assert "s3://no-such-bucket/x/" in failure(sagemaker, model)


def test_a_container_that_exits_fails_endpoint_with_its_last_log_lines(sagemaker: Any) -> None:
    model = sagemaker.model(Environment={"FAIL_WITH": "the weights are of another shape"})
    reason = failure(sagemaker, model)
    assert "exited with status 7" in reason
    assert "the weights are of another shape" in reason


def test_the_end_of_a_long_log_survives_in_the_reason(sagemaker: Any) -> None:
    lines = "\n".join(f"line {n:03} " + "x" * 90 for n in range(8))
    model = sagemaker.model(Environment={"FAIL_WITH": lines + "\nthe very last line"})
    reason = failure(sagemaker, model)
    assert reason.endswith("the very last line")
    assert len(reason) <= 1024


def test_an_image_that_cannot_run_here_is_the_failure_reason(sagemaker: Any) -> None:
    model = sagemaker.model("docker.io/vllm/vllm-openai:v0.32.0")
    reason = failure(sagemaker, model)
    assert "the laptop cloud runs images localhost/<room>, e.g. localhost/vllm" in reason
    assert "localhost/echo" in reason


def test_an_update_exchanges_the_instances(sagemaker: Any) -> None:
    endpoint = sagemaker.endpoint()
    before = invoke(sagemaker, endpoint)["pid"]
    config = sagemaker.config(sagemaker.model(Environment={"GREETING": "new"}))
    sagemaker.api.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    description = sagemaker.settled(endpoint)
    assert description["EndpointStatus"] == "InService"
    assert description["EndpointConfigName"] == config
    assert invoke(sagemaker, endpoint)["environment"]["GREETING"] == "new"
    assert not psutil.pid_exists(before)


def test_an_update_that_fails_leaves_old_instances_serving_and_says_so(sagemaker: Any) -> None:
    old = sagemaker.config(sagemaker.model())
    endpoint = sagemaker.endpoint(old)
    before = invoke(sagemaker, endpoint)["pid"]
    broken = sagemaker.config(sagemaker.model(Environment={"FAIL_WITH": "no"}))
    sagemaker.api.update_endpoint(EndpointName=endpoint, EndpointConfigName=broken)
    description = sagemaker.settled(endpoint)
    assert description["EndpointStatus"] == "InService"
    assert description["EndpointConfigName"] == old
    assert f"{old} stays in force" in description["FailureReason"]
    assert invoke(sagemaker, endpoint)["pid"] == before


def test_a_failed_endpoint_can_only_be_deleted(sagemaker: Any) -> None:
    endpoint = sagemaker.begin(sagemaker.config(sagemaker.model(Environment={"FAIL_WITH": "no"})))
    assert sagemaker.settled(endpoint)["EndpointStatus"] == "Failed"
    with pytest.raises(ClientError, match="Cannot update failed endpoint"):
        sagemaker.api.update_endpoint(
            EndpointName=endpoint, EndpointConfigName=sagemaker.config(sagemaker.model())
        )
    sagemaker.delete(endpoint)


def test_an_endpoint_that_is_being_created_can_be_neither_updated_nor_deleted(sagemaker: Any) -> None:
    config = sagemaker.config(sagemaker.model())
    endpoint = sagemaker.begin(config)
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sagemaker.api.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sagemaker.api.delete_endpoint(EndpointName=endpoint)
    assert sagemaker.settled(endpoint)["EndpointStatus"] == "InService"


def test_an_instance_whose_container_dies_is_replaced(sagemaker: Any) -> None:
    endpoint = sagemaker.endpoint()
    before = invoke(sagemaker, endpoint)["pid"]
    with pytest.raises(ClientError, match="ModelError"):
        invoke(sagemaker, endpoint, die=True)

    def served_again() -> bool:
        try:
            return bool(invoke(sagemaker, endpoint)["pid"] != before)
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("ModelError", "ServiceUnavailable")
            return False

    wait_until(served_again, "a new instance answers")


def test_instances_take_turns(sagemaker: Any) -> None:
    endpoint = sagemaker.endpoint(sagemaker.config(sagemaker.model(), InitialInstanceCount=2))
    assert len({invoke(sagemaker, endpoint)["pid"] for _ in range(4)}) == 2
    [variant] = sagemaker.api.describe_endpoint(EndpointName=endpoint)["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 2


def test_an_adapter_keeps_its_instance_when_another_leaves(sagemaker: Any) -> None:
    prefix = {"PrefixLength": PREFIX_BYTES, "ConcurrencyThreshold": 8}
    routing = {"RoutingStrategy": "PREFIX_AWARE", "PrefixAwareRoutingConfig": prefix}
    config = sagemaker.config(sagemaker.model(), InitialInstanceCount=3, RoutingConfig=routing)
    endpoint = sagemaker.endpoint(config)

    def instance(number: int, prompt: str) -> int:
        body = adapter_first({"model": f"adapter-{number}", "prompt": prompt})
        name = prefix_aware_id(f"adapter-{number}")
        answer = sagemaker.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, PrefixAwareId=name)
        return int(json.load(answer["Body"])["pid"])

    before = [instance(number, "one") for number in range(30)]
    assert [instance(number, "another") for number in range(30)] == before
    assert len(set(before)) == 3
    sagemaker.api.update_endpoint_weights_and_capacities(
        EndpointName=endpoint,
        DesiredWeightsAndCapacities=[{"VariantName": "Main", "DesiredInstanceCount": 2}],
    )
    sagemaker.settled(endpoint)
    after = [instance(number, "one") for number in range(30)]
    assert [pid for pid in before if pid in after] == [
        new for old, new in zip(before, after, strict=True) if old in after
    ]
    assert len(set(after)) == 2


def test_the_containers_log_stays_when_the_endpoint_is_gone(cloud: Any, sagemaker: Any) -> None:
    model = sagemaker.model(Environment={"FAIL_WITH": "read me later"})
    endpoint = sagemaker.begin(sagemaker.config(model))
    sagemaker.settled(endpoint)
    sagemaker.delete(endpoint)
    log = cloud.state / "endpoints" / endpoint / "Main-1.log"
    assert log.read_text() == "read me later\n"
    assert list(log.parent.iterdir()) == [log]
