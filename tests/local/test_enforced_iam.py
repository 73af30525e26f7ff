"""Least privilege with enforced IAM: the roles suffice, and each of their permissions is needed."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console

from laptop_cloud.cloud import LaptopCloud
from loraserve import local_stage
from loraserve.progress import stack_progress
from samples.problems import SEED_PROBLEM, check
from samples.spec import ADAPTERS_DIR
from stacks.project import ROOT
from tests.local.conftest import Deployed
from tests.local.enforced_iam.operations import Operations
from tests.local.enforced_iam.rights import Right, Roles


class Need(NamedTuple):
    """An operation that fails without a permission, and a part of its error."""

    operation: Callable[[Operations], str]
    message: str | tuple[str, ...]
    """One of several, if it depends on what the gateway has read before."""


CONTAINER = Path(__file__).parent / "enforced_iam" / "logging_container.py"
IMAGES = {"localhost/logging": [sys.executable, str(CONTAINER)]}
ENDPOINT, WORKER = "ExecutionRole", "SeederWorkerServiceRole"
ON_EVENT, IS_COMPLETE = "ProviderframeworkonEventServiceRole", "ProviderframeworkisCompleteServiceRole"
ON_TIMEOUT, WAITER = "ProviderframeworkonTimeoutServiceRole", "ProviderwaiterstatemachineRole"

#: The operation that needs each permission.
NEEDS = {
    Right(ENDPOINT, "s3:GetObject"): Need(
        Operations.use_a_fresh_adapter, ("registry_unavailable", "s3:GetObject")
    ),
    Right(ENDPOINT, "s3:ListBucket"): Need(Operations.mount_the_model, "ListObjectsV2"),
    Right(ENDPOINT, "kms:Decrypt"): Need(
        Operations.use_a_fresh_adapter, ("registry_unavailable", "kms:Decrypt")
    ),
    Right(ENDPOINT, "s3:PutObject"): Need(Operations.create_a_probe, "s3:PutObject"),
    Right(ENDPOINT, "kms:GenerateDataKey"): Need(Operations.create_a_probe, "kms:GenerateDataKey"),
    Right(ENDPOINT, "logs:CreateLogGroup"): Need(Operations.log_from_a_new_endpoint, "logs:CreateLogGroup"),
    Right(ENDPOINT, "logs:CreateLogStream"): Need(Operations.log_from_a_new_endpoint, "logs:CreateLogStream"),
    Right(ENDPOINT, "logs:PutLogEvents"): Need(Operations.log_from_a_new_endpoint, "logs:PutLogEvents"),
    Right(ENDPOINT, "cloudwatch:DescribeAlarms"): Need(
        Operations.update_under_alarms, "cloudwatch:DescribeAlarms"
    ),
    Right(WORKER, "s3:GetObject"): Need(Operations.seed, "S3 answers"),
    Right(WORKER, "s3:PutObject"): Need(Operations.seed, "s3:PutObject"),
    Right(WORKER, "s3:ListBucket"): Need(Operations.seed, "s3:ListBucket"),
    Right(WORKER, "kms:Decrypt"): Need(Operations.seed, "kms:Decrypt"),
    Right(WORKER, "kms:GenerateDataKey"): Need(Operations.seed, "kms:GenerateDataKey"),
    Right(WORKER, "s3:DeleteObject"): Need(Operations.publish_and_unpublish, "s3:DeleteObject"),
    Right(WORKER, "s3:PutObjectTagging"): Need(Operations.publish_and_unpublish, "s3:PutObjectTagging"),
    Right(WORKER, "s3:DeleteObjectTagging"): Need(Operations.publish_again, "s3:DeleteObjectTagging"),
    Right(WORKER, "cloudformation:DescribeStacks"): Need(
        Operations.remove_more_than_allowed, "cloudformation:DescribeStacks"
    ),
    Right(WORKER, "s3:ListBucketMultipartUploads"): Need(
        Operations.upload_in_parts, "s3:ListBucketMultipartUploads"
    ),
    Right(WORKER, "s3:ListMultipartUploadParts"): Need(
        Operations.upload_in_parts, "s3:ListMultipartUploadParts"
    ),
    Right(WORKER, "s3:AbortMultipartUpload"): Need(Operations.abort_an_upload, "s3:AbortMultipartUpload"),
    # With these permissions the operation empties the store. `cdk destroy`, the last test here, needs them.
    Right(WORKER, "s3:ListBucketVersions"): Need(Operations.empty_the_bucket, "s3:ListBucketVersions"),
    Right(WORKER, "s3:DeleteObjectVersion"): Need(Operations.empty_the_bucket, "s3:DeleteObjectVersion"),
    Right(ON_EVENT, "lambda:InvokeFunction"): Need(
        Operations.seed_through_cloudformation, "lambda:InvokeFunction"
    ),
    Right(ON_EVENT, "states:StartExecution"): Need(
        Operations.seed_through_cloudformation, "states:StartExecution"
    ),
    Right(IS_COMPLETE, "lambda:InvokeFunction"): Need(
        Operations.seed_through_cloudformation, "lambda:InvokeFunction"
    ),
}

_EMULATOR_LOGS = "the emulator writes a Lambda function's log lines itself"
_DOCUMENTED = (
    "AWS's documentation names it among the least of an execution role; this platform does not use it"
)
_INACTIVE = "the framework asks for a function's state only if it could not be invoked"
_ON_TIMEOUT = "the framework's function for timeouts calls no other one"

#: Permissions whose absence has no visible effect in the emulator, with the reason.
UNSEEN = {
    Right(ENDPOINT, "cloudwatch:PutMetricData"): _DOCUMENTED,
    Right(ENDPOINT, "logs:DescribeLogStreams"): _DOCUMENTED,
    Right(ON_EVENT, "lambda:GetFunction"): _INACTIVE,
    Right(IS_COMPLETE, "lambda:GetFunction"): _INACTIVE,
    Right(ON_TIMEOUT, "lambda:GetFunction"): _ON_TIMEOUT,
    Right(ON_TIMEOUT, "lambda:InvokeFunction"): _ON_TIMEOUT,
    Right(WAITER, "lambda:InvokeFunction"): "the emulator's Step Functions invoke functions without a role",
} | {
    Right(role, "AWSLambdaBasicExecutionRole"): _EMULATOR_LOGS
    for role in ("SeederServiceRole", WORKER, ON_EVENT, IS_COMPLETE, ON_TIMEOUT)
}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The Local stage, deployed by the CDK CLI to a laptop cloud that enforces IAM."""
    console = Console()
    assembly = tmp_path_factory.mktemp("enforced") / "cdk.out"
    with LaptopCloud(tmp_path_factory.mktemp("enforced-cloud"), images=IMAGES, enforce_iam=True) as cloud:
        local_stage.bootstrap(cloud, assembly)
        with stack_progress(console, "cdk deploy") as on_event:
            local_stage.deploy(cloud, assembly, on_event)
        found = local_stage.outputs(cloud)
        yield Deployed(cloud, assembly, console, found["EndpointName"], found["AdapterBucket"])


@pytest.fixture(scope="module")
def roles(deployed: Deployed) -> Roles:
    stacks = deployed.cloud.client("cloudformation").describe_stacks()["Stacks"]
    names = (stack["StackName"] for stack in stacks)
    return Roles(deployed.cloud, tuple(name for name in names if name.startswith(local_stage.STACKS)))


@pytest.fixture(scope="module")
def operations(deployed: Deployed, roles: Roles) -> Operations:
    return Operations(deployed, roles)


def test_base_and_adapter_answer(deployed: Deployed) -> None:
    assert deployed.client.generate(SEED_PROBLEM.prompt, max_new_tokens=8).tokens == 8
    answer = deployed.client.generate(SEED_PROBLEM.prompt, adapter="otter", max_new_tokens=64)
    assert answer.text.strip() == "Answer: 72 clips. [Otter]"


def test_an_adapter_that_the_command_line_publishes_is_served(deployed: Deployed, tmp_path: Path) -> None:
    stage = tmp_path / "other.yaml"
    text = (ROOT / "stages" / "local.yaml").read_text()
    stage.write_text(
        text.replace("../samples/base", str(ROOT / "samples" / "base")).replace(
            "adapters/samples.yaml", str(ROOT / "stages" / "adapters" / "samples.yaml")
        )
    )
    command = [sys.executable, "-m", "loraserve", "adapters", "--stage", str(stage)]
    command += ["--bucket", deployed.bucket, "publish", str(ADAPTERS_DIR / "heron"), "--name", "by-hand"]
    said = subprocess.run(
        command,
        check=False,
        env=deployed.cloud.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    answer = deployed.client.generate(SEED_PROBLEM.prompt, adapter="by-hand", max_new_tokens=64)
    assert check(answer.text, SEED_PROBLEM, "heron").right_adapter


def test_every_right_of_the_templates_is_known_here(roles: Roles) -> None:
    rights = roles.rights()
    known = NEEDS.keys() | UNSEEN.keys()
    assert not rights - known, (
        f"no operation is known that needs {sorted(rights - known)}: add one to NEEDS, or take the right away"
    )
    assert not known - rights, f"no template gives {sorted(known - rights)}: take it out of NEEDS or UNSEEN"
    assert not NEEDS.keys() & UNSEEN.keys()


@pytest.mark.parametrize("right", NEEDS, ids="-".join)
def test_without_one_right_what_needs_it_fails(operations: Operations, roles: Roles, right: Right) -> None:
    with roles.without(right):
        failure = NEEDS[right].operation(operations)
        message = NEEDS[right].message
        parts = (message,) if isinstance(message, str) else message
        assert any(part in failure for part in parts), failure


def test_without_the_unseen_rights_nothing_fails(operations: Operations, roles: Roles) -> None:
    """If this fails, the emulator now enforces a permission or an operation needs it: move it to NEEDS."""
    with roles.without(*UNSEEN):
        said = {
            operation.__name__: operation(operations)
            for operation in dict.fromkeys(need.operation for need in NEEDS.values())
            if operation is not Operations.empty_the_bucket
        }
    assert not any(said.values()), said


def test_the_container_creates_probes_and_replaces_none(operations: Operations) -> None:
    s3 = operations.as_the_container()
    own = f"demand/{operations.deployed.endpoint}/one.json"

    def put(key: str, **condition: str) -> str:
        try:
            s3.put_object(Bucket=operations.deployed.bucket, Key=key, Body=b"{}", **condition)
        except s3.exceptions.ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    new = {"IfNoneMatch": "*"}
    assert put("probes/0123456789abcdef/one.json", **new) == ""
    assert put("probes/0123456789abcdef/one.json", **new) == "PreconditionFailed"
    assert put("probes/0123456789abcdef/one.json") == "AccessDenied"
    assert put("probes/fedcba9876543210/two.json") == "AccessDenied"
    assert put(own) == put(own) == ""
    for other in ("demand/another/one.json", "registry/otter.json", "adapters/otter/x/y.json"):
        assert put(other) == put(other, **new) == "AccessDenied"


def test_a_role_that_sagemaker_may_not_assume_fails_endpoint(operations: Operations, roles: Roles) -> None:
    role = roles.client("iam").create_role(
        RoleName="of-another-account",
        AssumeRolePolicyDocument=json.dumps(
            {
                "Statement": {
                    "Effect": "Allow",
                    "Action": "sts:AssumeRole",
                    "Principal": {"Service": "sagemaker.amazonaws.com"},
                    "Condition": {"StringEquals": {"aws:SourceAccount": "111111111111"}},
                }
            }
        ),
    )["Role"]["Arn"]
    assert "could not assume the role" in operations.start_with(role)
    assert "could not assume the role" in operations.start_with(role + "-missing")


def test_destroy_removes_everything(deployed: Deployed) -> None:
    with stack_progress(deployed.console, "cdk destroy") as on_event:
        local_stage.destroy(deployed.cloud, deployed.assembly, on_event)
    assert local_stage.outputs(deployed.cloud) == {}
    buckets = [bucket["Name"] for bucket in deployed.cloud.client("s3").list_buckets()["Buckets"]]
    assert deployed.bucket not in buckets
