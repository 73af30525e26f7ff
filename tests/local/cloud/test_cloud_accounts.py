"""Several accounts with enforced IAM: what one gives to another needs the policies of both.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError

import boto3
import pytest
from botocore.exceptions import ClientError

from laptop_cloud.api.account import DEFAULT_REGION
from laptop_cloud.aws_isolation import client_config
from laptop_cloud.cloud import LaptopCloud
from tests.local.cloud.test_cloud_registry import HOST, LAYER, REPOSITORY, Registry

GIVER, TAKER, OTHER = "111111111111", "222222222222", "333333333333"
GIVEN, OWN = "given-bucket", "own-bucket"
OBJECT = {"Bucket": GIVEN, "Key": "adapters/otter/weights"}
PULL_ROLE = f"arn:aws:iam::{GIVER}:role/pull"
Policy = dict[str, Any]


def allow(actions: str | list[str], resource: str | list[str] = "*", **more: Any) -> Policy:
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def trust(principal: Policy, action: str = "sts:AssumeRole", **more: Any) -> str:
    statement = {"Effect": "Allow", "Action": action, "Principal": principal, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def document(*statements: Policy) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Role:
    """A role of an account, which the account's root assumes."""

    def __init__(self, cloud: LaptopCloud, account: str, name: str) -> None:
        self._cloud, self._account, self._name = cloud, account, name
        self.arn = f"arn:aws:iam::{account}:role/{name}"
        self._iam = cloud.client("iam", account=account)
        root = {"AWS": f"arn:aws:iam::{account}:root"}
        self._iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(root))

    def may(self, *statements: Policy) -> None:
        self._iam.put_role_policy(
            RoleName=self._name, PolicyName="given", PolicyDocument=document(*statements)
        )

    def client(self, service: str) -> Any:
        sts = self._cloud.client("sts", account=self._account)
        return as_session(self._cloud, sts.assume_role(RoleArn=self.arn, RoleSessionName="test"), service)


def as_session(cloud: LaptopCloud, assumed: Any, service: str) -> Any:
    """Return a client with the credentials of an answer of STS."""
    given = assumed["Credentials"]
    return boto3.client(
        service,
        DEFAULT_REGION,
        endpoint_url=cloud.url,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        config=client_config(),
    )


class Given:
    """A bucket of `GIVER` with a key, whose policies change from test to test."""

    def __init__(self, cloud: LaptopCloud) -> None:
        self._s3, self._kms = cloud.client("s3", account=GIVER), cloud.client("kms", account=GIVER)
        self.key = self._kms.create_key()["KeyMetadata"]["Arn"]
        self._s3.create_bucket(Bucket=GIVEN)
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.key}
        self._s3.put_bucket_encryption(
            Bucket=GIVEN,
            ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": default}]},
        )
        self._s3.put_object(**OBJECT, Body=b"weights")

    def bucket_policy(self, *statements: Policy) -> None:
        self._s3.put_bucket_policy(Bucket=GIVEN, Policy=document(*statements))

    def key_policy(self, *statements: Policy) -> None:
        root = allow("kms:*", Principal={"AWS": f"arn:aws:iam::{GIVER}:root"})
        self._kms.put_key_policy(KeyId=self.key, Policy=document(root, *statements))


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    with LaptopCloud(tmp_path_factory.mktemp("accounts"), enforce_iam=True) as running:
        running.client("s3", account=TAKER).create_bucket(Bucket=OWN)
        yield running


@pytest.fixture(scope="module")
def given(cloud: LaptopCloud) -> Given:
    return Given(cloud)


@pytest.fixture(scope="module")
def reader(cloud: LaptopCloud) -> Role:
    return Role(cloud, TAKER, "reader")


@pytest.fixture(scope="module")
def stranger(cloud: LaptopCloud) -> Role:
    return Role(cloud, TAKER, "stranger")


def read(s3: Any) -> bytes:
    content: bytes = s3.get_object(**OBJECT)["Body"].read()
    return content


def copy(s3: Any) -> bytes:
    """Copy inside S3 to the reader's bucket."""
    s3.copy_object(Bucket=OWN, Key="copied", CopySource=OBJECT)
    content: bytes = s3.get_object(Bucket=OWN, Key="copied")["Body"].read()
    return content


def copy_in_parts(s3: Any) -> bytes:
    upload = {"Bucket": OWN, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part_copy(**upload, PartNumber=1, CopySource=OBJECT)["CopyPartResult"]["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    content: bytes = s3.get_object(Bucket=OWN, Key="parts")["Body"].read()
    return content


READS = (read, copy, copy_in_parts)
USES = allow(["s3:GetObject"], f"arn:aws:s3:::{GIVEN}/*")
OWNS = allow("s3:*", [f"arn:aws:s3:::{OWN}/*", f"arn:aws:s3:::{OWN}"])


def shared(given: Given, principal: str, **conditions: Any) -> tuple[Policy, Policy]:
    """Return the statements of bucket and key that give an object."""
    more: dict[str, Any] = {"Condition": conditions} if conditions else {}
    who = {"AWS": principal}
    return (
        allow("s3:GetObject", f"arn:aws:s3:::{GIVEN}/adapters/*", Principal=who),
        allow("kms:Decrypt", Principal=who, **more),
    )


def refused(call: Callable[[Any], object], client: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(client)
    assert error.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException")
    return str(error.value)


@pytest.mark.parametrize("way", READS)
def test_a_role_reads_what_its_account_and_the_owner_allow(
    given: Given, reader: Role, way: Callable[[Any], bytes]
) -> None:
    bucket, key = shared(given, reader.arn)
    given.bucket_policy(bucket)
    given.key_policy(key)
    reader.may(USES, OWNS, allow("kms:Decrypt", given.key))
    assert way(reader.client("s3")) == b"weights"


@pytest.mark.parametrize("principal", [f"arn:aws:iam::{TAKER}:root", TAKER])
def test_an_object_is_given_to_an_account(given: Given, reader: Role, principal: str) -> None:
    bucket, key = shared(given, principal)
    given.bucket_policy(bucket)
    given.key_policy(key)
    reader.may(USES, allow("kms:Decrypt", given.key))
    assert read(reader.client("s3")) == b"weights"


@pytest.mark.parametrize("missing", ["bucket", "key", "role", "role for the key"])
def test_each_policy_is_needed(given: Given, reader: Role, missing: str) -> None:
    bucket, key = shared(given, reader.arn)
    listing = allow("s3:ListBucket", f"arn:aws:s3:::{GIVEN}", Principal={"AWS": GIVER})
    given.bucket_policy(*(() if missing == "bucket" else (bucket,)), listing)
    given.key_policy(*(() if missing == "key" else (key,)))
    reader.may(
        OWNS,
        *(() if missing == "role" else (USES,)),
        *(() if missing == "role for the key" else (allow("kms:Decrypt", given.key),)),
    )
    s3 = reader.client("s3")
    for way in READS:
        refused(way, s3)


def test_another_role_of_the_account_and_other_objects_are_not_given(
    cloud: LaptopCloud, given: Given, reader: Role, stranger: Role
) -> None:
    bucket, key = shared(given, reader.arn)
    given.bucket_policy(bucket)
    given.key_policy(key)
    for role in (reader, stranger):
        role.may(allow(["s3:*", "kms:*"]))
    refused(read, stranger.client("s3"))
    refused(read, cloud.client("s3", account=OTHER))
    refused(lambda s3: s3.list_objects_v2(Bucket=GIVEN), reader.client("s3"))
    refused(lambda s3: s3.get_object(Bucket=GIVEN, Key="seeding/status.json"), reader.client("s3"))
    refused(lambda s3: s3.put_object(**OBJECT, Body=b"other"), reader.client("s3"))


def test_a_key_can_be_given_for_requests_of_s3_alone(given: Given, reader: Role) -> None:
    service = f"s3.{DEFAULT_REGION}.amazonaws.com"
    reader.may(USES, allow("kms:Decrypt", given.key))
    for value, is_given in ((service, True), (service.replace("s3", "ebs"), False)):
        bucket, key = shared(given, reader.arn, StringEquals={"kms:ViaService": value})
        given.bucket_policy(bucket)
        given.key_policy(key)
        if is_given:
            assert read(reader.client("s3")) == b"weights"
        else:
            refused(read, reader.client("s3"))


def test_a_deny_of_the_owner_wins(given: Given, reader: Role) -> None:
    bucket, key = shared(given, TAKER)
    given.bucket_policy(bucket, {**bucket, "Effect": "Deny", "Principal": {"AWS": reader.arn}})
    given.key_policy(key)
    reader.may(USES, allow("kms:Decrypt", given.key))
    refused(read, reader.client("s3"))


def test_the_resource_account_of_a_bucket_is_its_owner(given: Given, reader: Role) -> None:
    bucket, key = shared(given, reader.arn)
    given.bucket_policy(bucket)
    given.key_policy(key)
    for account, is_given in ((GIVER, True), (TAKER, False)):
        limited = {"Condition": {"StringEquals": {"aws:ResourceAccount": account}}}
        reader.may({**USES, **limited}, allow("kms:Decrypt", given.key))
        if is_given:
            assert read(reader.client("s3")) == b"weights"
        else:
            refused(read, reader.client("s3"))


def test_a_role_of_an_account_acts_there_in_every_service(cloud: LaptopCloud) -> None:
    """Also in SageMaker, which is not `ministack`'s."""
    role = Role(cloud, TAKER, "actor")
    role.may(allow("*"))
    model = role.client("sagemaker").create_model(
        ModelName="of-the-taker",
        ExecutionRoleArn=role.arn,
        PrimaryContainer={"Image": "localhost/vllm"},
    )
    assert model["ModelArn"].split(":")[4] == TAKER
    assert role.client("sts").get_caller_identity()["Account"] == TAKER
    assert not cloud.client("sagemaker").list_models()["Models"]


def test_sagemaker_is_used_as_the_callers_policies_allow(cloud: LaptopCloud) -> None:
    role = Role(cloud, TAKER, "operator")
    arn = f"arn:aws:sagemaker:{DEFAULT_REGION}:{TAKER}:endpoint/mine"
    role.may(
        allow(["sagemaker:DescribeEndpoint", "sagemaker:InvokeEndpoint"], arn), allow("sagemaker:ListModels")
    )
    sagemaker, runtime = role.client("sagemaker"), role.client("sagemaker-runtime")
    sagemaker.list_models()
    for client, operation in ((sagemaker, "describe_endpoint"), (runtime, "invoke_endpoint")):
        body = {"Body": b""} if client is runtime else {}
        call = getattr(client, operation)
        with pytest.raises(ClientError) as missing:
            call(EndpointName="mine", **body)
        assert missing.value.response["Error"]["Code"] == (
            "ValidationError" if client is runtime else "ValidationException"
        )
        assert arn.replace("mine", "another") in refused(lambda _: call(EndpointName="another", **body), None)  # noqa: B023
    refused(lambda _: sagemaker.list_endpoints(), None)
    refused(
        lambda _: role.client("application-autoscaling").describe_scalable_targets(
            ServiceNamespace="sagemaker"
        ),
        None,
    )
    refused(lambda _: role.client("service-quotas").list_service_quotas(ServiceCode="sagemaker"), None)


def test_an_image_of_another_account_is_pulled_with_a_role_of_that_account(cloud: LaptopCloud) -> None:
    ecr = cloud.client("ecr", account=GIVER)
    ecr.create_repository(repositoryName=REPOSITORY)
    Registry(cloud, ecr).push("given")
    iam = cloud.client("iam", account=GIVER)
    taker = Role(cloud, TAKER, "taker")
    iam.create_role(RoleName="pull", AssumeRolePolicyDocument=trust({"AWS": taker.arn}))
    arn = f"arn:aws:ecr:{DEFAULT_REGION}:{GIVER}:repository/{REPOSITORY}"
    pull = allow(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], arn)
    iam.put_role_policy(
        RoleName="pull",
        PolicyName="pull",
        PolicyDocument=document(pull, allow("ecr:GetAuthorizationToken")),
    )

    def assumed(sts: Any) -> Any:
        return sts.assume_role(RoleArn=PULL_ROLE, RoleSessionName="test")

    taker.may(allow("ecr:*"))
    refused(assumed, taker.client("sts"))
    stranger = Role(cloud, TAKER, "other-taker")
    for role in (taker, stranger):
        role.may(allow("sts:AssumeRole", PULL_ROLE))
    refused(assumed, stranger.client("sts"))
    session = as_session(cloud, assumed(taker.client("sts")), "ecr")
    registry = Registry(cloud, session)
    assert registry.endpoint == f"https://{HOST.replace('000000000000', GIVER)}"
    assert registry.pull("given") == LAYER
    with pytest.raises(HTTPError):
        registry.push("refused", layer=b"another")


def test_a_web_identity_is_checked_by_subject_and_audience(cloud: LaptopCloud) -> None:
    iam = cloud.client("iam", account=TAKER)
    host = "token.actions.githubusercontent.com"
    iam.create_open_id_connect_provider(Url=f"https://{host}", ClientIDList=["sts.amazonaws.com"])
    subject = "repo:owner/name:environment:prod"
    condition = {"StringEquals": {f"{host}:aud": "sts.amazonaws.com", f"{host}:sub": subject}}
    provider = {"Federated": f"arn:aws:iam::{TAKER}:oidc-provider/{host}"}
    arn = iam.create_role(
        RoleName="by-token",
        AssumeRolePolicyDocument=trust(provider, "sts:AssumeRoleWithWebIdentity", Condition=condition),
    )["Role"]["Arn"]

    def assumed(sub: str, aud: str = "sts.amazonaws.com") -> Any:
        claims = {"iss": f"https://{host}", "sub": sub, "aud": aud}
        part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        return cloud.client("sts").assume_role_with_web_identity(
            RoleArn=arn, RoleSessionName="run", WebIdentityToken=f"e30.{part}.c2ln"
        )

    session = as_session(cloud, assumed(subject), "sts")
    assert session.get_caller_identity()["Account"] == TAKER
    for sub, aud in (
        ("repo:owner/name:ref:refs/heads/main", "sts.amazonaws.com"),
        ("repo:owner/name:environment:dev", "sts.amazonaws.com"),
        ("repo:fork/name:environment:prod", "sts.amazonaws.com"),
        (subject, "other"),
    ):
        refused(lambda _: assumed(sub, aud), None)  # noqa: B023 — called at once
