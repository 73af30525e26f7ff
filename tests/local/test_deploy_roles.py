"""The roles of the pipeline, in three accounts with enforced IAM: who gets them, and what they may do."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from laptop_cloud.aws_isolation import client_config
from laptop_cloud.cloud import LaptopCloud
from loraserve.aws import Client
from loraserve.images.ecr_copy import ImageRepository, copy_image, image_digest
from loraserve.images.promoted_image import check_image, giving_client, giving_repository, taking_repository
from stacks.config.pipeline_config import ISSUER, PipelineConfig
from stacks.config.stage_target import StageTarget
from stacks.deploy_roles.deploy_roles_stack import AUDIENCE, STACK_NAME
from tests.harness.roles import ACCOUNTS, REPOSITORY, role_templates
from tests.local.cloud.test_cloud_registry import DOCKER, digest_of

REGION = "us-east-1"
DEV, STAGING, PROD = (
    StageTarget(name=name, account=ACCOUNTS[name], region=REGION) for name in ("dev", "staging", "prod")
)
KEY = "releases/2026-11-27-1a2b3c4/release.json"
EVERYTHING = {"Version": "2012-10-17"}
EXISTING = [f"arn:aws:iam::{account}:oidc-provider/{ISSUER}" for account in ACCOUNTS.values()]


def claims(environment: str, **changed: str) -> dict[str, str]:
    """Return the claims of a job in an environment of the repository."""
    subject = f"repo:{REPOSITORY}:environment:{environment}"
    return {"iss": f"https://{ISSUER}", "aud": AUDIENCE, "sub": subject, **changed}


def bucket_name(target: StageTarget) -> str:
    """Return a name as CloudFormation generates it."""
    return f"{target.stack_name('AdapterStore').lower()}-bucket83908e77-1a2b3c4d5e6f"


def assets(target: StageTarget) -> str:
    return f"cdk-hnb659fds-container-assets-{target.account}-{target.region}"


class Accounts:
    """Three accounts with the roles, and in each a store and the bootstrap's repository."""

    def __init__(self, cloud: LaptopCloud, templates: dict[str, dict[str, Any]]) -> None:
        self.cloud = cloud
        for target in (DEV, STAGING, PROD):
            self._prepare(target, templates[str(target.account)])

    def root(self, target: StageTarget, service: str) -> Any:
        return self.cloud.client(service, account=str(target.account))

    def assume(self, role: str, target: StageTarget, token: dict[str, str]) -> Client:
        """Assume a role with a token of these claims; returns clients with its rights."""
        part = base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")
        answer = self.cloud.client("sts").assume_role_with_web_identity(
            RoleArn=f"arn:aws:iam::{target.account}:role/LoraServing-{target.id}-{role}",
            RoleSessionName="run",
            WebIdentityToken=f"e30.{part}.c2ln",
        )
        return self._clients(answer["Credentials"])

    def job(self, role: str, target: StageTarget) -> Client:
        """Return clients of the job that the role is for."""
        suffix = {"Deploy": "", "Plan": "-plan", "Rollback": "-rollback"}[role]
        return self.assume(role, target, claims(f"{target.name}{suffix}"))

    def repository(self, target: StageTarget) -> ImageRepository:
        return ImageRepository(self.root(target, "ecr"), str(target.account), assets(target))

    def _clients(self, credentials: Any) -> Client:
        session = boto3.Session(
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
            region_name=REGION,
        )

        def client(service: str, own: Config | None = None) -> Any:
            return session.client(service, endpoint_url=self.cloud.url, config=client_config(own))

        return client

    def _prepare(self, target: StageTarget, template: dict[str, Any]) -> None:
        self.root(target, "iam").create_open_id_connect_provider(
            Url=f"https://{ISSUER}", ClientIDList=[AUDIENCE]
        )
        # `cdk bootstrap` makes the parameter.
        self.root(target, "ssm").put_parameter(
            Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String"
        )
        cloudformation = self.root(target, "cloudformation")
        cloudformation.create_stack(
            StackName=STACK_NAME, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        self.root(target, "ecr").create_repository(
            repositoryName=assets(target), imageTagMutability="IMMUTABLE"
        )
        self.root(target, "s3").create_bucket(Bucket=bucket_name(target))


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    pipeline = PipelineConfig(repository=REPOSITORY, rollback_role=True, existing_providers=EXISTING)
    templates = role_templates(tmp_path_factory.mktemp("roles"), pipeline)
    with LaptopCloud(tmp_path_factory.mktemp("accounts"), enforce_iam=True) as cloud:
        yield Accounts(cloud, templates)


def refused(operation: Callable[[], Any]) -> str:
    """Return the message of an operation that IAM refuses."""
    with pytest.raises(ClientError, match="AccessDenied|UnauthorizedOperation|not authorized|403") as error:
        operation()
    return str(error.value)


class Token(NamedTuple):
    """A token that must not get a role of the stage prod, with the difference from the right one."""

    name: str
    role: str
    claims: dict[str, str]


OTHERS = [
    Token("branch", "Deploy", claims("prod", sub=f"repo:{REPOSITORY}:ref:refs/heads/main")),
    Token("pull request", "Deploy", claims("prod", sub=f"repo:{REPOSITORY}:pull_request")),
    Token("another environment", "Deploy", claims("staging")),
    Token("the plan's environment", "Deploy", claims("prod-plan")),
    Token("environment with the same beginning", "Deploy", claims("prod2")),
    Token("environment in capitals", "Deploy", claims("Prod")),
    Token("fork", "Deploy", claims("prod", sub="repo:mallory@1/lora@2:environment:prod")),
    Token("same name, later owner", "Deploy", claims("prod", sub="repo:acme@9/lora@9:environment:prod")),
    Token("without the numbers", "Deploy", claims("prod", sub="repo:acme/lora:environment:prod")),
    Token("another audience", "Deploy", claims("prod", aud="https://github.com/acme")),
    Token("another issuer", "Deploy", claims("prod", iss="https://token.example.org")),
    Token("the deployment's environment", "Plan", claims("prod")),
    Token("the deployment's environment, to roll back", "Rollback", claims("prod")),
]


@pytest.mark.parametrize("role", ["Plan", "Deploy", "Rollback"])
def test_the_job_of_the_environment_gets_its_role(accounts: Accounts, role: str) -> None:
    caller = accounts.job(role, PROD)("sts").get_caller_identity()
    assert caller["Account"] == PROD.account
    assert f"LoraServing-Prod-{role}" in caller["Arn"]


@pytest.mark.parametrize("token", OTHERS, ids=lambda token: token.name)
def test_another_token_gets_no_role(accounts: Accounts, token: Token) -> None:
    assert "AssumeRoleWithWebIdentity" in refused(lambda: accounts.assume(token.role, PROD, token.claims))


def test_an_image_is_pulled_from_the_stage_before_and_pushed(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", accounts.cloud.url)
    digest = push(accounts.repository(STAGING), "v1")
    client = accounts.job("Deploy", PROD)
    source = giving_repository(client, STAGING, PROD, str(STAGING.account), assets(STAGING))
    target = taking_repository(client, PROD, str(PROD.account), assets(PROD))
    assert [finding.state.value for finding in check_image(source, target, tag="v1", recorded=digest)] == [
        "ok"
    ]
    copy_image(source, target, digest=digest, tag="v1")
    assert image_digest(target, "v1") == digest
    refused(lambda: push(source, "v2"))


def test_the_plan_reads_both_repositories_and_pushes_to_none(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", accounts.cloud.url)
    client = accounts.job("Plan", PROD)
    source = giving_repository(client, STAGING, PROD, str(STAGING.account), assets(STAGING))
    target = taking_repository(client, PROD, str(PROD.account), assets(PROD))
    assert image_digest(source, "none") is None
    assert image_digest(target, "none") is None
    refused(lambda: push(target, "v3"))


def test_only_roles_of_the_next_stage_get_the_pull_role(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", accounts.cloud.url)
    pull = giving_client(accounts.job("Deploy", PROD), STAGING, PROD)
    assert pull("sts").get_caller_identity()["Account"] == STAGING.account
    refused(lambda: giving_client(accounts.job("Rollback", PROD), STAGING, PROD))
    refused(lambda: giving_client(accounts.job("Deploy", PROD), DEV, PROD))
    refused(lambda: giving_client(accounts.job("Deploy", STAGING), PROD, STAGING))
    # A role with all rights in the next stage's account is not trusted either.
    iam = accounts.root(PROD, "iam")
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": f"arn:aws:iam::{PROD.account}:root"},
    }
    arn = iam.create_role(
        RoleName="other", AssumeRolePolicyDocument=json.dumps({**EVERYTHING, "Statement": [trust]})
    )["Role"]["Arn"]
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.put_role_policy(
        RoleName="other",
        PolicyName="all",
        PolicyDocument=json.dumps({**EVERYTHING, "Statement": [everything]}),
    )
    other = accounts._clients(
        accounts.root(PROD, "sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    )
    refused(lambda: giving_client(other, STAGING, PROD))


def test_records_are_written_by_the_deployment_and_read_by_the_plan(accounts: Accounts) -> None:
    bucket = bucket_name(PROD)
    deploy, plan = (accounts.job(role, PROD)("s3") for role in ("Deploy", "Plan"))
    deploy.put_object(Bucket=bucket, Key=KEY, Body=b"{}")
    assert plan.get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"{}"
    assert plan.list_objects_v2(Bucket=bucket, Prefix="releases/")["KeyCount"] == 1
    refused(lambda: plan.put_object(Bucket=bucket, Key=KEY, Body=b"changed"))
    refused(lambda: plan.delete_object(Bucket=bucket, Key=KEY))
    for key in ("models/m/weights", "seeding/s/record.json", "captured/c"):
        refused(lambda: deploy.put_object(Bucket=bucket, Key=key, Body=b""))  # noqa: B023 — called at once
    deploy.delete_object(Bucket=bucket, Key=KEY)
    record = "releases/records/2026-11-27T120000Z-by-hand.json"
    deploy.put_object(Bucket=bucket, Key=record, Body=b"{}")
    refused(lambda: deploy.delete_object(Bucket=bucket, Key=record))


def test_a_stages_roles_have_no_rights_on_another_stage(accounts: Accounts) -> None:
    deploy = accounts.job("Deploy", PROD)("s3")
    refused(lambda: deploy.put_object(Bucket=bucket_name(STAGING), Key=KEY, Body=b""))
    refused(lambda: deploy.list_objects_v2(Bucket=bucket_name(STAGING)))
    refused(lambda: accounts.job("Plan", STAGING)("s3").get_object(Bucket=bucket_name(PROD), Key=KEY))


@pytest.mark.parametrize("role", ["Plan", "Deploy"])
def test_the_roles_change_no_roles_and_no_resources_themselves(accounts: Accounts, role: str) -> None:
    client = accounts.job(role, PROD)
    refused(lambda: client("iam").create_user(UserName="x"))
    refused(lambda: client("s3").delete_bucket(Bucket=bucket_name(PROD)))
    refused(lambda: client("cloudformation").delete_stack(StackName=STACK_NAME))
    refused(lambda: client("ecr").delete_repository(repositoryName=assets(PROD), force=True))


@pytest.mark.parametrize("role", ["Plan", "Deploy"])
def test_functions_of_others_are_not_read(accounts: Accounts, role: str) -> None:
    functions = accounts.job(role, PROD)("lambda")
    refused(lambda: functions.get_function(FunctionName="LoraServing-Dev-AdapterStore-Worker-1"))
    refused(lambda: functions.get_function(FunctionName="billing"))
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        functions.get_function(FunctionName="LoraServing-Prod-AdapterStore-Worker-1")


SERVING = {"StackName": PROD.stack_name("Serving")}
SCALING = {"ServiceNamespace": "sagemaker"}
#: Calls of checks and verification, by service. What they name need not exist: refused is what counts.
READS: list[tuple[str, str, dict[str, Any]]] = [
    ("cloudformation", "describe_stacks", {}),
    ("cloudformation", "get_template", SERVING),
    ("cloudformation", "describe_stack_resource", {**SERVING, "LogicalResourceId": "EndpointConfig"}),
    ("cloudformation", "list_stack_resources", SERVING),
    ("cloudformation", "detect_stack_drift", SERVING),
    ("cloudwatch", "describe_alarms", {}),
    ("cloudwatch", "describe_alarm_history", {}),
    ("application-autoscaling", "describe_scalable_targets", SCALING),
    ("application-autoscaling", "describe_scaling_policies", SCALING),
    ("application-autoscaling", "describe_scheduled_actions", SCALING),
    ("ssm", "get_parameter", {"Name": "/cdk-bootstrap/hnb659fds/version"}),
    ("ecr", "describe_repositories", {"repositoryNames": [assets(PROD)]}),
    ("s3", "head_bucket", {"Bucket": bucket_name(PROD)}),
]
CHANGES: list[tuple[str, str, dict[str, Any]]] = [
    ("cloudformation", "update_termination_protection", {**SERVING, "EnableTerminationProtection": False}),
]


def is_refused(client: Client, service: str, operation: str, arguments: dict[str, Any]) -> bool:
    try:
        getattr(client(service), operation)(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException", "403"}
    return False


def test_every_call_of_the_flow_is_allowed_and_a_plan_changes_nothing(accounts: Accounts) -> None:
    deploy, plan = accounts.job("Deploy", PROD), accounts.job("Plan", PROD)
    assert [call for call in (*READS, *CHANGES) if is_refused(deploy, *call)] == []
    assert [call for call in READS if is_refused(plan, *call)] == []
    assert [call for call in CHANGES if not is_refused(plan, *call)] == []
    other = accounts.job("Deploy", STAGING)
    named = [call for call in (*READS, *CHANGES) if "Prod" in str(call[2])]
    # The same names in another account are its own, and not those of its stage.
    assert [call for call in named if not is_refused(other, *call)] == []


def test_the_key_is_used_through_s3_alone_and_by_its_tag(accounts: Accounts) -> None:
    kms, s3 = accounts.root(PROD, "kms"), accounts.root(PROD, "s3")
    own, other = (
        kms.create_key(Tags=[{"TagKey": "lora-serving:stage", "TagValue": stage}])["KeyMetadata"]["KeyId"]
        for stage in ("prod", "another")
    )
    deploy = accounts.job("Deploy", PROD)
    for key, allowed in ((own, True), (other, False)):
        rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": f"arn:aws:kms:{REGION}:{PROD.account}:key/{key}"}
        s3.put_bucket_encryption(
            Bucket=bucket_name(PROD),
            ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]},
        )
        if allowed:
            deploy("s3").put_object(Bucket=bucket_name(PROD), Key=KEY, Body=b"{}")
            assert deploy("s3").get_object(Bucket=bucket_name(PROD), Key=KEY)["Body"].read() == b"{}"
        else:
            refused(lambda: deploy("s3").put_object(Bucket=bucket_name(PROD), Key=KEY, Body=b"{}"))
    refused(lambda: deploy("kms").encrypt(KeyId=own, Plaintext=b"x"))


def push(repository: ImageRepository, tag: str) -> str:
    """Push an image of one layer with ECR's API."""
    blobs = [json.dumps({"of": tag}).encode(), f"layer of {tag}".encode()]
    for blob in blobs:
        upload = repository.call("initiate_layer_upload")["uploadId"]
        repository.call(
            "upload_layer_part",
            uploadId=upload,
            partFirstByte=0,
            partLastByte=len(blob) - 1,
            layerPartBlob=blob,
        )
        repository.call("complete_layer_upload", uploadId=upload, layerDigests=[digest_of(blob)])
    config, layer = ({"digest": digest_of(blob), "size": len(blob)} for blob in blobs)
    manifest = json.dumps({"schemaVersion": 2, "mediaType": DOCKER, "config": config, "layers": [layer]})
    repository.call("put_image", imageManifest=manifest, imageManifestMediaType=DOCKER, imageTag=tag)
    return digest_of(manifest.encode())
