"""ECR's registry: tokens, permissions of each request, and the image of a model."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.exceptions import ClientError

from laptop_cloud.api.account import DEFAULT_ACCOUNT, DEFAULT_REGION
from laptop_cloud.aws_isolation import client_config
from laptop_cloud.cloud import LaptopCloud

REPOSITORY = "lora/vllm"
ARN = f"arn:aws:ecr:{DEFAULT_REGION}:{DEFAULT_ACCOUNT}:repository/{REPOSITORY}"
HOST = f"{DEFAULT_ACCOUNT}.dkr.ecr.{DEFAULT_REGION}.amazonaws.com"
#: The permissions of ECR's documentation, see laptop_cloud/registry/actions.py.
PUSH = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart",
    "ecr:CompleteLayerUpload",
    "ecr:PutImage",
]
PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
LAYER = b"a layer"


class Registry:
    """A client of the registry, with the token of one caller."""

    def __init__(self, cloud: LaptopCloud, ecr: Any) -> None:
        self._url = cloud.url
        data = ecr.get_authorization_token()["authorizationData"][0]
        self.token = data["authorizationToken"]
        self.endpoint = data["proxyEndpoint"]

    def request(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Any:
        url = path if path.startswith("http") else f"{self._url}{path}"
        request = Request(url, body, {"Authorization": f"Basic {self.token}"}, method=method)  # noqa: S310 — http
        if kind:
            request.add_header("Content-Type", kind)
        return urlopen(request, timeout=10)  # noqa: S310 — it is http

    def push(self, tag: str, kind: str = DOCKER, layer: bytes = LAYER) -> str:
        """Push an image of one layer as Docker's clients do; return its digest."""
        digest = digest_of(layer)
        try:
            self.request("HEAD", f"/v2/{REPOSITORY}/blobs/{digest}")
        except HTTPError as missing:
            if missing.code != 404:
                raise
            begun = self.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/", b"")
            self.request("PATCH", begun.headers["Location"], layer)
            self.request("PUT", f"{begun.headers['Location']}?digest={digest}", b"")
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": kind, "layers": [{"digest": digest}]}
        ).encode()
        self.request("PUT", f"/v2/{REPOSITORY}/manifests/{tag}", manifest, kind)
        return digest_of(manifest)

    def pull(self, tag: str) -> bytes:
        """Pull the layer of an image."""
        manifest = json.load(self.request("GET", f"/v2/{REPOSITORY}/manifests/{tag}"))
        blob = self.request("GET", f"/v2/{REPOSITORY}/blobs/{manifest['layers'][0]['digest']}")
        content: bytes = blob.read()
        return content


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def reason(refused: pytest.ExceptionInfo[HTTPError]) -> tuple[int, str]:
    content = refused.value.read()
    return refused.value.code, json.loads(content)["errors"][0]["message"] if content else ""


@pytest.fixture(scope="module")
def enforcing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    with LaptopCloud(tmp_path_factory.mktemp("registry"), enforce_iam=True) as running:
        running.client("ecr").create_repository(repositoryName=REPOSITORY)
        yield running


class Role:
    """A role whose permissions change from test to test."""

    def __init__(self, cloud: LaptopCloud) -> None:
        self._cloud = cloud
        self._iam = cloud.client("iam")
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
        trust["Principal"] = {"AWS": f"arn:aws:iam::{DEFAULT_ACCOUNT}:root"}  # type: ignore[assignment]
        self.arn = self._iam.create_role(
            RoleName="builder", AssumeRolePolicyDocument=json.dumps({"Statement": trust})
        )["Role"]["Arn"]

    def registry(self, *actions: str, resource: str = ARN) -> Registry:
        statements = [{"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}]
        if actions:
            statements.append({"Effect": "Allow", "Action": list(actions), "Resource": resource})  # type: ignore[dict-item]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self._iam.put_role_policy(RoleName="builder", PolicyName="ecr", PolicyDocument=document)
        assumed = self._cloud.client("sts").assume_role(RoleArn=self.arn, RoleSessionName="test")[
            "Credentials"
        ]
        ecr = boto3.client(
            "ecr",
            DEFAULT_REGION,
            endpoint_url=self._cloud.url,
            aws_access_key_id=assumed["AccessKeyId"],
            aws_secret_access_key=assumed["SecretAccessKey"],
            aws_session_token=assumed["SessionToken"],
            config=client_config(),
        )
        return Registry(self._cloud, ecr)


@pytest.fixture(scope="module")
def role(enforcing: LaptopCloud) -> Role:
    return Role(enforcing)


@pytest.mark.parametrize(
    "token", ["", "Basic QVdTOm1pbmlzdGFjay1hdXRoLXRva2Vu", "Basic =", "Bearer QVdTOng="]
)
def test_without_a_token_of_ecr_the_registry_asks_for_one(enforcing: LaptopCloud, token: str) -> None:
    for path in ("/v2/", f"/v2/{REPOSITORY}/manifests/one"):
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(f"{enforcing.url}{path}", headers={"Authorization": token}))  # noqa: S310 — http
        assert refused.value.code == 401
        challenge = refused.value.headers["Www-Authenticate"]
        assert challenge == f'Basic realm="{enforcing.url}/",service="ecr.amazonaws.com"'


def test_with_the_documented_permissions_an_image_is_pushed_and_pulled(role: Role) -> None:
    registry = role.registry(*PUSH, *PULL)
    assert registry.endpoint == f"https://{HOST}"
    assert base64.b64decode(registry.token).startswith(b"AWS:")
    registry.push("documented")
    assert role.registry(*PULL).pull("documented") == LAYER


@pytest.mark.parametrize("action", PUSH)
def test_a_push_needs_each_of_its_permissions(role: Role, action: str) -> None:
    registry = role.registry(*(each for each in PUSH if each != action))
    with pytest.raises(HTTPError) as refused:
        registry.push("refused", layer=action.encode())
    status, message = reason(refused)
    assert status == 403
    if message:  # the answer to HEAD has no body
        assert message.startswith(
            f"User: arn:aws:sts::{DEFAULT_ACCOUNT}:assumed-role/builder/test is not authorized to perform: "
            f"{action} on resource: {ARN}"
        )


@pytest.mark.parametrize("action", PULL)
def test_a_pull_needs_each_of_its_permissions(role: Role, action: str) -> None:
    role.registry(*PUSH).push("pulled")
    with pytest.raises(HTTPError) as refused:
        role.registry(*(each for each in PULL if each != action)).pull("pulled")
    assert reason(refused)[0] == 403
    assert role.registry(*PULL).pull("pulled") == LAYER


def test_permissions_on_another_repository_do_not_count(role: Role) -> None:
    registry = role.registry(*PULL, resource=ARN.replace(REPOSITORY, "other"))
    with pytest.raises(HTTPError) as refused:
        registry.pull("documented")
    assert reason(refused)[0] == 403


def test_images_are_deleted_by_ecrs_own_api_alone(role: Role) -> None:
    registry = role.registry(*PUSH, "ecr:*")
    digest = registry.push("deleted")
    with pytest.raises(HTTPError) as refused:
        registry.request("DELETE", f"/v2/{REPOSITORY}/manifests/{digest}")
    assert reason(refused)[0] == 405


def test_a_layer_of_another_repository_is_not_mounted(enforcing: LaptopCloud, role: Role) -> None:
    registry = role.registry("ecr:*", resource="*")
    registry.push("mounted")
    enforcing.client("ecr").create_repository(repositoryName="other/name")
    query = f"mount={digest_of(LAYER)}&from={REPOSITORY}"
    begun = registry.request("POST", f"/v2/other/name/blobs/uploads/?{query}", b"")
    assert begun.status == 202


def test_describe_images_fails_for_a_missing_image_as_the_cdk_cli_expects(enforcing: LaptopCloud) -> None:
    ecr = enforcing.client("ecr")
    with pytest.raises(ecr.exceptions.ImageNotFoundException, match="imageTag:'missing'"):
        ecr.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": "missing"}])
    Registry(enforcing, ecr).push("present")
    found = ecr.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": "present"}])["imageDetails"]
    assert "present" in found[0]["imageTags"]
    assert ecr.describe_images(repositoryName=REPOSITORY)["imageDetails"]


def test_another_services_paths_are_not_the_registrys(enforcing: LaptopCloud) -> None:
    assert enforcing.client("apigatewayv2").get_apis()["Items"] == []


def create_model(cloud: LaptopCloud, image: str) -> str:
    """Create a model with the image; return the error's message, empty if there is none."""
    try:
        cloud.client("sagemaker").create_model(
            ModelName=f"m{digest_of(image.encode())[7:27]}",
            ExecutionRoleArn=f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/execution",
            PrimaryContainer={"Image": image},
        )
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ValidationException"
        return error.response["Error"]["Message"]
    return ""


def test_a_model_has_an_image_that_exists_in_dockers_format(enforcing: LaptopCloud) -> None:
    registry = Registry(enforcing, enforcing.client("ecr"))
    digest = registry.push("docker")
    registry.push("oci", OCI)
    name = f"{HOST}/{REPOSITORY}"
    assert create_model(enforcing, f"{name}:docker") == ""
    assert create_model(enforcing, f"{name}@{digest}") == ""
    assert create_model(enforcing, name) == f'ECR image "{name}" is invalid.'
    for missing in (f"{name}:missing", f"{HOST}/no/repository:docker", f"{name}@sha256:{'0' * 64}"):
        assert create_model(enforcing, missing) == f"Requested image {missing} not found."
    assert create_model(enforcing, f"{name}:oci") == (
        f"Unsupported manifest media type {OCI} for image {name}:oci. Ensure that valid manifest media type is "
        "used for specified image."
    )


def test_an_image_of_ecr_needs_a_laptop_cloud_that_runs_images(enforcing: LaptopCloud) -> None:
    """The default runs processes of the working tree."""
    Registry(enforcing, enforcing.client("ecr")).push("unrun")
    sagemaker = enforcing.client("sagemaker")
    sagemaker.create_model(
        ModelName="unrun",
        ExecutionRoleArn=f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/execution",
        PrimaryContainer={"Image": f"{HOST}/{REPOSITORY}:unrun"},
    )
    variant = {
        "VariantName": "Main",
        "ModelName": "unrun",
        "InstanceType": "ml.g5.xlarge",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="unrun", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="unrun", EndpointConfigName="unrun")
    while (found := sagemaker.describe_endpoint(EndpointName="unrun"))["EndpointStatus"] == "Creating":
        pass
    assert "make up IMAGES=real" in found["FailureReason"]
