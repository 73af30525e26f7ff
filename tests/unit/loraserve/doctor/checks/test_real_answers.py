"""The services' own answers, in the bytes of their protocols, where the laptop cloud's differ or could.

Each is parsed by botocore from its service's model, as an answer of AWS is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from adapters.source import S3Source, SourceError
from loraserve.doctor.checks import image, keys, network, secret, topic
from loraserve.doctor.sources.disk import check_disk
from loraserve.doctor.sources.s3_access import S3Access, UnusableSource
from loraserve.doctor.sources.seeder_token import seeder_token
from loraserve.finding import Finding, State
from stacks.config.loading import load_stage
from stacks.config.stage_config import StageConfig
from stacks.project import ROOT

ACCOUNT = "111122223333"
REGION = "eu-west-1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/12345678-1234-1234-1234-123456789012"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/lora:v1"

#: The last two are S3's metadata of an object.
HEADERS = {"content-type": "text/xml", "content-length": "100", "etag": '"1"'}

Answers = dict[str, tuple[int, str]]


class Raw:
    """The body of a response."""

    def __init__(self, body: str) -> None:
        self.body = body.encode()

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self.body


def client_with(answers: Answers) -> Callable[[str], Any]:
    """Return a factory of clients whose requests get these answers, by operation; nothing is sent."""

    def client(service: str) -> Any:
        made = boto3.client(
            service, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x",
            config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip

        def answer(request: Any, event_name: str, **_: Any) -> AWSResponse:
            status, body = answers[event_name.rsplit(".", 1)[-1]]
            return AWSResponse(request.url, status, HEADERS, Raw(body))  # type: ignore[arg-type]

        made.meta.events.register("before-send", answer)
        return made

    return client


def findings(check: Any, folder: Path, answers: Answers, **settings: Any) -> list[Finding]:
    (folder / "adapters.yaml").write_text("adapters: []\n")
    content = {
        "account": ACCOUNT,
        "region": REGION,
        "base_model": {"name": "tiny-mistral", "path": str(ROOT / "samples" / "base")},
        "adapters": "adapters.yaml",
    }
    (folder / "shop.yaml").write_text(yaml.safe_dump(content | settings))
    return list(check(load_stage(folder / "shop.yaml"), client_with(answers)))


def json_error(code: str, message: str = "no") -> tuple[int, str]:
    return 400, json.dumps({"__type": code, "message": message})


def query_error(code: str, status: int) -> tuple[int, str]:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>"
    return status, f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"


def ec2_error(code: str) -> tuple[int, str]:
    error = f"<Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors>"
    return 403, f"<Response>{error}<RequestID>1</RequestID></Response>"


def metadata(**values: Any) -> tuple[int, str]:
    key = {
        "KeyId": KEY[-36:], "Arn": KEY, "Enabled": True, "KeyState": "Enabled", "KeyUsage": "ENCRYPT_DECRYPT",
        "KeySpec": "SYMMETRIC_DEFAULT", "KeyManager": "CUSTOMER", "AWSAccountId": ACCOUNT,
    }  # fmt: skip
    return 200, json.dumps({"KeyMetadata": key | values})


@pytest.mark.parametrize(
    ("check", "settings", "answers", "problem"),
    [
        # SNS's query protocol writes NotFound for what its model calls NotFoundException.
        (
            topic.check,
            {"observability": {"alarm_topic": TOPIC}},
            {"GetTopicAttributes": query_error("NotFound", 404)},
            "does not exist",
        ),
        (
            keys.check,
            {"security": {"key_arn": KEY}},
            {"DescribeKey": json_error("NotFoundException")},
            "does not exist",
        ),
        (
            keys.check,
            {"security": {"key_arn": KEY}},
            {"DescribeKey": metadata(KeyState="PendingDeletion", DeletionDate=1_800_000_000, Enabled=False)},
            "scheduled for deletion on 2027-01-15",
        ),
        (
            image.check,
            {"image": IMAGE},
            {"BatchGetImage": json_error("RepositoryNotFoundException")},
            "has no repository",
        ),
        # A secret that was created without a value.
        (
            secret.check,
            {"hub_token_secret": "hub"},
            {
                "DescribeSecret": (200, json.dumps({"Name": "hub"})),
                "GetSecretValue": json_error(
                    "ResourceNotFoundException",
                    "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
                ),
            },
            "has no value",
        ),
        (
            secret.check,
            {"hub_token_secret": "hub"},
            {"DescribeSecret": (200, json.dumps({"Name": "hub", "DeletedDate": 1_700_000_000}))},
            "scheduled for deletion",
        ),
        (
            secret.check,
            {"hub_token_secret": "hub"},
            {"DescribeSecret": json_error("ResourceNotFoundException")},
            "there is no secret",
        ),
    ],
)
def test_what_is_not_there_is_a_problem(
    tmp_path: Path, check: Any, settings: dict[str, Any], answers: Answers, problem: str
) -> None:
    [finding] = findings(check, tmp_path, answers, **settings)
    assert finding.state is State.PROBLEM
    assert problem in finding.found
    assert finding.remedy


@pytest.mark.parametrize(
    ("check", "settings", "answers", "action"),
    [
        (
            topic.check,
            {"observability": {"alarm_topic": TOPIC}},
            {"GetTopicAttributes": query_error("AuthorizationError", 403)},
            "sns:GetTopicAttributes",
        ),
        (
            keys.check,
            {"security": {"key_arn": KEY}},
            {"DescribeKey": json_error("AccessDeniedException")},
            "kms:DescribeKey",
        ),
        (
            image.check,
            {"image": IMAGE},
            {"BatchGetImage": json_error("AccessDeniedException")},
            "ecr:BatchGetImage",
        ),
        (
            network.check,
            {"network": {"mode": "vpc"}},
            {"DescribeAvailabilityZones": ec2_error("UnauthorizedOperation")},
            "ec2:DescribeAvailabilityZones",
        ),
    ],
)
def test_what_may_not_be_asked_is_unknown(
    tmp_path: Path, check: Any, settings: dict[str, Any], answers: Answers, action: str
) -> None:
    [finding] = findings(check, tmp_path, answers, **settings)
    assert finding.state is State.UNKNOWN
    assert f"these credentials may not {action}" in finding.found


def test_a_busy_service_is_unknown_with_its_code(tmp_path: Path) -> None:
    answers = {"DescribeKey": (500, json.dumps({"__type": "KMSInternalException", "message": "busy"}))}
    [finding] = findings(keys.check, tmp_path, answers, security={"key_arn": KEY})
    assert (finding.state, finding.found) == (
        State.UNKNOWN,
        f"{KEY}: not checked: kms:DescribeKey answers KMSInternalException busy",
    )


def zones(*names: str) -> tuple[int, str]:
    items = "".join(
        f"<item><zoneName>{name}</zoneName><zoneState>available</zoneState></item>" for name in names
    )
    return 200, f"<R><availabilityZoneInfo>{items}</availabilityZoneInfo></R>"


def runtime_service(*names: str) -> tuple[int, str]:
    items = "".join(f"<item>{name}</item>" for name in names)
    detail = (
        f"<item><serviceName>com.amazonaws.{REGION}.sagemaker.runtime</serviceName>"
        f"<availabilityZoneSet>{items}</availabilityZoneSet></item>"
    )
    return 200, f"<R><serviceDetailSet>{detail}</serviceDetailSet></R>"


def test_the_runtimes_endpoint_service_must_be_in_the_zones_of_a_private_network(tmp_path: Path) -> None:
    # The laptop cloud has no such service.
    names = [f"{REGION}{letter}" for letter in "abc"]
    private = {"network": {"mode": "private"}}
    answers = {
        "DescribeAvailabilityZones": zones(*names),
        "DescribeVpcEndpointServices": runtime_service(*names),
    }
    assert [finding.state for finding in findings(network.check, tmp_path, answers, **private)] == [
        State.OK
    ] * 2
    answers["DescribeVpcEndpointServices"] = runtime_service(names[0], names[2])
    found = findings(network.check, tmp_path, answers, **private)
    assert [finding.state for finding in found] == [State.OK, State.PROBLEM]
    assert f"not offered in {names[1]}" in found[1].found
    assert found[1].remedy == f"name two of {names[0]}, {names[2]} in network.availability_zones"


def test_a_named_zone_that_the_account_does_not_have_is_a_problem(tmp_path: Path) -> None:
    answers = {"DescribeAvailabilityZones": zones(f"{REGION}a", f"{REGION}b", f"{REGION}c")}
    named = [f"{REGION}b", f"{REGION}e"]
    [finding] = findings(
        network.check, tmp_path, answers, network={"mode": "vpc", "availability_zones": named}
    )
    assert finding.state is State.PROBLEM
    assert f"{REGION}e are not available" in finding.found
    named[1] = f"{REGION}c"
    [finding] = findings(
        network.check, tmp_path, answers, network={"mode": "vpc", "availability_zones": named}
    )
    assert (finding.state, finding.found) == (State.OK, f"{REGION}b, {REGION}c")


def test_a_region_with_one_zone_is_a_problem(tmp_path: Path) -> None:
    answers = {"DescribeAvailabilityZones": zones(f"{REGION}a")}
    [finding] = findings(network.check, tmp_path, answers, network={"mode": "vpc"})
    assert finding.state is State.PROBLEM


def test_an_aws_managed_key_of_the_secret_needs_no_permission(tmp_path: Path) -> None:
    answers = {
        "DescribeSecret": (200, json.dumps({"Name": "hub", "KmsKeyId": KEY})),
        "DescribeKey": metadata(KeyManager="AWS"),
        "GetSecretValue": json_error("AccessDeniedException"),
    }
    [finding] = findings(secret.check, tmp_path, answers, hub_token_secret="hub")
    assert (finding.check, finding.state) == ("Hub token", State.UNKNOWN)


def test_a_manifest_in_oci_format_is_unknown(tmp_path: Path) -> None:
    kind = "application/vnd.oci.image.manifest.v1+json"
    made = {
        "imageManifest": json.dumps({"schemaVersion": 2, "mediaType": kind}),
        "imageManifestMediaType": kind,
    }
    answers = {"BatchGetImage": (200, json.dumps({"images": [made], "failures": []}))}
    [finding] = findings(image.check, tmp_path, answers, image=IMAGE)
    assert finding.state is State.UNKNOWN
    assert "oci-mediatypes=false" in finding.remedy


# A response to HEAD has no body: botocore's code is the status.
@pytest.mark.parametrize(
    ("answers", "state", "found"),
    [
        ({"HeadBucket": (404, "")}, State.PROBLEM, "there is no bucket 'weights'"),
        ({"HeadBucket": (403, "")}, State.UNKNOWN, "these credentials may not s3:ListBucket"),
        (
            {
                "HeadBucket": (200, ""),
                "HeadObject": (404, ""),
                "ListObjectsV2": (403, "<Error><Code>AccessDenied</Code><Message>denied</Message></Error>"),
            },
            State.PROBLEM,
            "the prefix has no adapter_config.json",
        ),
        ({"HeadBucket": (200, ""), "HeadObject": (403, "")}, State.UNKNOWN, "(s3:GetObject)"),
        ({"HeadBucket": (200, ""), "HeadObject": (503, "")}, State.UNKNOWN, "s3:GetObject answers 503"),
        (
            {
                "HeadBucket": (200, ""),
                "HeadObject": (200, ""),
                "GetObject": (403, "<Error><Code>AccessDenied</Code><Message>kms:Decrypt</Message></Error>"),
            },
            State.UNKNOWN,
            "S3 answers AccessDenied to s3:GetObject with these credentials",
        ),
    ],
)
def test_s3s_answers(answers: Answers, state: State, found: str) -> None:
    config = StageConfig.model_validate({"base_model": {"name": "m", "path": "m"}, "adapters": "a.yaml"})
    access = S3Access("adapter sources", config, client_with(answers))
    with pytest.raises(UnusableSource) as unusable:
        access.files(S3Source("weights", "small/"))
    assert unusable.value.finding.state is state
    assert found in unusable.value.finding.found


def test_the_store_of_another_stage_gives_its_objects_without_a_list() -> None:
    config = StageConfig.model_validate(
        {
            "base_model": {"name": "m", "path": "m"},
            "adapters": "a.yaml",
            "promote_from": "dev",
            "adapters_locked": True,
        }
    )
    answers: Answers = {"HeadBucket": (403, ""), "HeadObject": (403, "")}
    with pytest.raises(UnusableSource) as unusable:
        S3Access("adapter sources", config, client_with(answers)).files(S3Source("weights", "small/"))
    assert "(s3:GetObject)" in unusable.value.finding.found


def test_buckets_without_credentials_are_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    session = boto3.Session(region_name=REGION)
    config = StageConfig.model_validate({"base_model": {"name": "m", "path": "m"}, "adapters": "a.yaml"})
    with pytest.raises(UnusableSource) as unusable:
        S3Access("adapter sources", config, session.client).files(S3Source("weights", "small/"))
    assert unusable.value.finding.state is State.UNKNOWN
    assert "Unable to locate credentials" in unusable.value.finding.found
    token = seeder_token(config.model_copy(update={"hub_token_secret": "hub"}), session.client)
    assert token.unreadable == "the secret 'hub' is not readable (NoCredentialsError)"


def instance_type_with(disk_gb: int | None) -> tuple[int, str]:
    storage = f"<instanceStorageInfo><totalSizeInGB>{disk_gb}</totalSizeInGB></instanceStorageInfo>"
    item = f"<item><instanceType>g5.xlarge</instanceType>{storage if disk_gb else ''}</item>"
    return 200, f"<R><instanceTypeSet>{item}</instanceTypeSet></R>"


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (instance_type_with(250), State.OK),
        (instance_type_with(64), State.PROBLEM),
        (instance_type_with(None), State.UNKNOWN),
        (ec2_error("UnauthorizedOperation"), State.UNKNOWN),
    ],
)
def test_the_disk_must_hold_the_model_and_the_adapter_cache(answer: tuple[int, str], state: State) -> None:
    config = StageConfig.model_validate({"base_model": {"name": "m", "path": "m"}, "adapters": "a.yaml"})
    # 50 GB of adapters, by default.
    found = check_disk(config, client_with({"DescribeInstanceTypes": answer})("ec2"), 14_500_000_000)
    assert found.state is state
    assert "the model has 14.5 GB, the adapter cache 50 GB" in found.found


def test_a_source_that_fails_while_it_is_checked_is_a_problem_only_for_its_content() -> None:
    config = StageConfig.model_validate({"base_model": {"name": "m", "path": "m"}, "adapters": "a.yaml"})
    access = S3Access("adapter sources", config, client_with({}))
    source, error = S3Source("weights", "small/"), SourceError("s3://weights/small/", "is damaged", "again")
    assert access.finding(source, error).state is State.PROBLEM
    error.__cause__ = ClientError({"Error": {"Code": "PreconditionFailed"}}, "GetObject")
    assert access.finding(source, error).state is State.UNKNOWN
