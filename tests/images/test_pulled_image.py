"""Models whose image is in ECR: resolved to a digest, pulled with the execution role, run from the image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from laptop_cloud.cloud import LaptopCloud
from tests.harness.waiting import wait_until
from tests.images.registry import ARN, HOST, REPOSITORY, SmallImages
from tests.images.small_image import MOUNTS
from tests.local.processes import processes_of

#: What CDK grants an execution role for an image (`Repository.grant_pull`), less the right to a token.
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
VERSION = b"print(open('/etc/version').read(), end='')"


class Endpoints:
    """Endpoints of small images, with an execution role of changing permissions."""

    def __init__(self, cloud: LaptopCloud) -> None:
        self.api = cloud.client("sagemaker")
        self._runtime = cloud.client("sagemaker-runtime")
        self._iam = cloud.client("iam")
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
        principal = {"Service": "sagemaker.amazonaws.com"}
        self.role = self._iam.create_role(
            RoleName="execution",
            AssumeRolePolicyDocument=json.dumps({"Statement": {**trust, "Principal": principal}}),
        )["Role"]["Arn"]
        self.allow("ecr:GetAuthorizationToken", *PULL)

    def allow(self, *actions: str, resource: str = ARN) -> None:
        """Set the role's permissions."""
        statement = [
            {"Effect": "Allow", "Action": action, "Resource": "*" if action.endswith("Token") else resource}
            for action in actions
        ]
        self._iam.put_role_policy(
            RoleName="execution", PolicyName="pull", PolicyDocument=json.dumps({"Statement": statement})
        )

    def config(self, name: str, image: str) -> None:
        """Create a model and an endpoint configuration of this name."""
        self.api.create_model(ModelName=name, ExecutionRoleArn=self.role, PrimaryContainer={"Image": image})
        variant = {
            "VariantName": "Main",
            "ModelName": name,
            "InstanceType": "ml.g5.xlarge",
            "InitialInstanceCount": 1,
        }
        self.api.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])

    def create(self, name: str, image: str) -> Any:
        """Create an endpoint; return its description once it is in service or has failed."""
        self.config(name, image)
        self.api.create_endpoint(EndpointName=name, EndpointConfigName=name)
        return self.settled(name)

    def settled(self, name: str) -> Any:
        """Wait for the end of the operation in progress; return the description."""
        described: Any = {}

        def done() -> bool:
            described.update(self.api.describe_endpoint(EndpointName=name))
            return described["EndpointStatus"] not in ("Creating", "Updating", "RollingBack")

        wait_until(done, "the operation has ended", 60)
        return described

    def run(self, name: str, code: bytes = VERSION) -> str:
        """Run Python code in a container; return what it prints."""
        answer = self._runtime.invoke_endpoint(EndpointName=name, Body=code)
        said: str = answer["Body"].read().decode()
        return said


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    state = tmp_path_factory.mktemp("pulling")
    with LaptopCloud(state, enforce_iam=True, pull_images=True, mounts=MOUNTS) as running:
        yield running
    assert not [line for line in Path("/proc/mounts").read_text().splitlines() if str(state) in line]


@pytest.fixture(scope="module")
def images(cloud: LaptopCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallImages]:
    made = SmallImages(cloud, tmp_path_factory.mktemp("small"))
    yield made
    made.remove()


@pytest.fixture(scope="module")
def endpoints(cloud: LaptopCloud) -> Endpoints:
    return Endpoints(cloud)


def deployed(described: Any) -> str:
    [variant] = described["ProductionVariants"]
    [image] = variant["DeployedImages"]
    resolved: str = image["ResolvedImage"]
    return resolved


def hosts(endpoints: Endpoints) -> set[str]:
    """Return the host names of the containers that answer."""
    found = set()
    for _ in range(4):
        with suppress(ClientError):
            found.add(endpoints.run("moving", b"import socket; print(socket.gethostname())"))
    return found


def test_every_instance_has_the_digest_of_the_update_even_after_the_tag_has_moved(
    cloud: LaptopCloud, images: SmallImages, endpoints: Endpoints
) -> None:
    image = images.push("first", "moving")
    described = endpoints.create("moving", image)
    assert described["EndpointStatus"] == "InService", described.get("FailureReason")
    resolved = deployed(described)
    found = cloud.client("ecr").describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": "moving"}])
    assert resolved == f"{HOST}/{REPOSITORY}@{found['imageDetails'][0]['imageDigest']}"
    [variant] = described["ProductionVariants"]
    assert variant["DeployedImages"][0]["SpecifiedImage"] == image
    assert variant["DeployedImages"][0]["ResolutionTime"] >= described["CreationTime"]

    images.push("second", "moving")
    weights = [{"VariantName": "Main", "DesiredInstanceCount": 2}]
    endpoints.api.update_endpoint_weights_and_capacities(
        EndpointName="moving", DesiredWeightsAndCapacities=weights
    )
    assert endpoints.settled("moving")["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert {endpoints.run("moving") for _ in range(4)} == {"first"}
    # A replacement of an instance that has died.
    before = hosts(endpoints)
    with pytest.raises(ClientError):
        endpoints.run("moving", b"import os; os._exit(3)")
    wait_until(lambda: len(found := hosts(endpoints)) == 2 and found != before, "the instance is replaced")
    assert {endpoints.run("moving") for _ in range(4)} == {"first"}
    assert deployed(endpoints.settled("moving")) == resolved

    endpoints.config("moved", image)
    endpoints.api.update_endpoint(EndpointName="moving", EndpointConfigName="moved")
    assert deployed(endpoints.settled("moving")) != resolved
    assert endpoints.run("moving") == "second"


def test_the_root_file_system_is_the_images(images: SmallImages, endpoints: Endpoints) -> None:
    described = endpoints.create("files", images.push("files", "files"))
    assert described["EndpointStatus"] == "InService", described.get("FailureReason")
    code = b"import os, sys; print(os.getpid(), sys.argv, os.environ['FROM_IMAGE'], os.getcwd(), open('/etc/layer').read())"
    assert endpoints.run("files", code).split() == ["1", "['/opt/probe/probe.py',", "'serve']", "image",
                                                    "/opt/probe", "upper"]  # fmt: skip


@pytest.mark.parametrize(
    "action", ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
)
def test_a_role_that_may_not_pull_fails_the_endpoint_and_says_why(
    images: SmallImages, endpoints: Endpoints, action: str
) -> None:
    name = action.removeprefix("ecr:")
    # A new image: layers that the cloud has are not pulled again.
    image = images.push(name, name.lower())
    endpoints.allow(*({"ecr:GetAuthorizationToken", *PULL} - {action}))
    try:
        described = endpoints.create(name, image)
    finally:
        endpoints.allow("ecr:GetAuthorizationToken", *PULL)
    assert described["EndpointStatus"] == "Failed"
    reason = described["FailureReason"]
    assert endpoints.role in reason
    assert image in reason
    assert f"is not authorized to perform: {action}" in reason


def test_a_permission_that_is_taken_away_stops_further_instances(
    images: SmallImages, endpoints: Endpoints
) -> None:
    """The laptop cloud has the layers; a new instance of SageMaker would not."""
    described = endpoints.create("scaled", images.push("scaled", "scaled"))
    assert described["EndpointStatus"] == "InService", described.get("FailureReason")
    endpoints.allow("ecr:GetAuthorizationToken", "ecr:BatchGetImage")
    weights = [{"VariantName": "Main", "DesiredInstanceCount": 2}]
    try:
        endpoints.api.update_endpoint_weights_and_capacities(
            EndpointName="scaled", DesiredWeightsAndCapacities=weights
        )
        described = endpoints.settled("scaled")
    finally:
        endpoints.allow("ecr:GetAuthorizationToken", *PULL)
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert "is not authorized to perform: ecr:GetDownloadUrlForLayer" in described["FailureReason"]


def test_a_manifest_in_ocis_format_is_refused(images: SmallImages, endpoints: Endpoints) -> None:
    image = images.push("oci", "oci", kind="oci")
    with pytest.raises(ClientError, match=r"Unsupported manifest media type application/vnd\.oci\.image"):
        endpoints.config("oci", image)


def test_an_image_that_was_deleted_after_the_model_was_made_fails_the_endpoint(
    cloud: LaptopCloud, images: SmallImages, endpoints: Endpoints
) -> None:
    image = images.push("deleted", "deleted")
    endpoints.config("deleted", image)
    ids = [{"imageTag": "deleted"}]
    cloud.client("ecr").batch_delete_image(repositoryName=REPOSITORY, imageIds=ids)
    endpoints.api.create_endpoint(EndpointName="deleted", EndpointConfigName="deleted")
    assert endpoints.settled("deleted")["FailureReason"] == f"Requested image {image} not found."


def test_a_repository_that_was_deleted_is_not_reported_as_a_permission(
    cloud: LaptopCloud, endpoints: Endpoints, tmp_path: Path
) -> None:
    images = SmallImages(cloud, tmp_path, repository="deleted")
    try:
        endpoints.config("repository", images.push("repository", "deleted"))
    finally:
        images.remove()
    cloud.client("ecr").delete_repository(repositoryName="deleted", force=True)
    endpoints.allow("ecr:GetAuthorizationToken", *PULL, resource="*")
    try:
        endpoints.api.create_endpoint(EndpointName="repository", EndpointConfigName="repository")
        reason = endpoints.settled("repository")["FailureReason"]
    finally:
        endpoints.allow("ecr:GetAuthorizationToken", *PULL)
    assert "RepositoryNotFoundException" in reason
    assert "permission" not in reason


def test_a_killed_cloud_leaves_no_container_and_its_store_can_be_used_again(tmp_path: Path) -> None:
    state = tmp_path / "killed"
    for version in ("before", "after"):
        with LaptopCloud(state, enforce_iam=True, pull_images=True, mounts=MOUNTS) as cloud:
            images, endpoints = SmallImages(cloud, tmp_path / version), Endpoints(cloud)
            try:
                described = endpoints.create("killed", images.push(version, "latest"))
                assert described["EndpointStatus"] == "InService", described.get("FailureReason")
                assert endpoints.run("killed") == version
            finally:
                images.remove()
            [server] = [
                process for process in psutil.process_iter(["cmdline"])
                if (words := process.info["cmdline"] or [])[1:3] == ["-m", "laptop_cloud"] and str(state) in words
            ]  # fmt: skip
            server.kill()
            wait_until(lambda: processes_of(state) == [], "no process is left")
            assert str(state) not in Path("/proc/mounts").read_text()
