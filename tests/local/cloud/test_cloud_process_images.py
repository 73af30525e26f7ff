"""Images of ECR that stand for a process of this machine: resolved and pulled as others, run as the process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from laptop_cloud.api.account import DEFAULT_ACCOUNT
from laptop_cloud.cloud import LaptopCloud
from tests.harness.tiny_image import push, tiny_image
from tests.local.cloud.conftest import IMAGES, SageMaker
from tests.local.cloud.test_cloud_registry import HOST, REPOSITORY

ROLE = f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/execution"
PULLS = ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    with LaptopCloud(tmp_path_factory.mktemp("images"), images=IMAGES, enforce_iam=True) as running:
        running.client("ecr").create_repository(repositoryName=REPOSITORY)
        trusted = {"Effect": "Allow", "Action": "sts:AssumeRole"}
        service = {"Principal": {"Service": "sagemaker.amazonaws.com"}}
        running.client("iam").create_role(
            RoleName="execution", AssumeRolePolicyDocument=json.dumps({"Statement": trusted | service})
        )
        yield running


def permit(cloud: LaptopCloud, *actions: str) -> None:
    allowed = {"Effect": "Allow", "Action": ["logs:*", *actions], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    cloud.client("iam").put_role_policy(RoleName="execution", PolicyName="p", PolicyDocument=document)


def pushed(cloud: LaptopCloud, process: str, tag: str) -> str:
    """Push an image; return its digest."""
    image = tiny_image(process, tag)
    [data] = cloud.client("ecr").get_authorization_token()["authorizationData"]
    push(image, cloud.url.removeprefix("http://"), REPOSITORY, tag, data["authorizationToken"])
    return image.digest


@pytest.fixture(scope="module")
def sagemaker(cloud: LaptopCloud) -> SageMaker:
    return SageMaker(cloud)


def endpoint(sagemaker: SageMaker, tag: str) -> Any:
    """Create an endpoint; return its description when it is settled."""
    name = f"with-{tag}"
    container = {"Image": f"{HOST}/{REPOSITORY}:{tag}"}
    sagemaker.api.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    sagemaker.api.create_endpoint(EndpointName=name, EndpointConfigName=sagemaker.config(name))
    return sagemaker.settled(name)


def test_the_process_serves_with_the_digest_of_the_image(cloud: LaptopCloud, sagemaker: SageMaker) -> None:
    permit(cloud, *PULLS)
    digest = pushed(cloud, "localhost/echo", "one")
    assert pushed(cloud, "localhost/echo", "another") != digest
    described = endpoint(sagemaker, "one")
    assert described["EndpointStatus"] == "InService"
    [deployed] = described["ProductionVariants"][0]["DeployedImages"]
    assert deployed["SpecifiedImage"] == f"{HOST}/{REPOSITORY}:one"
    assert deployed["ResolvedImage"] == f"{HOST}/{REPOSITORY}@{digest}"
    runtime = cloud.client("sagemaker-runtime")
    assert runtime.invoke_endpoint(EndpointName="with-one", Body=b"{}")["Body"].read()


@pytest.mark.parametrize("action", PULLS)
def test_the_execution_role_must_be_able_to_pull_the_image(
    cloud: LaptopCloud, sagemaker: SageMaker, action: str
) -> None:
    permit(cloud, *(each for each in PULLS if each != action))
    tag = action.partition(":")[2].lower()
    pushed(cloud, "localhost/echo", tag)
    described = endpoint(sagemaker, tag)
    assert described["EndpointStatus"] == "Failed"
    assert f"does not have {action.partition(':')[2]} permission" in described["FailureReason"]


def test_a_process_that_does_not_exist_is_named(cloud: LaptopCloud, sagemaker: SageMaker) -> None:
    permit(cloud, *PULLS)
    pushed(cloud, "localhost/missing", "missing")
    assert "'localhost/missing' is not one of them" in endpoint(sagemaker, "missing")["FailureReason"]
