"""The doctor's checks of what a stage names in its account, with each fault planted in the laptop cloud."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from laptop_cloud.cloud import LaptopCloud
from loraserve.doctor.checks import image, keys, network, secret, topic
from loraserve.finding import Finding, State
from tests.hub.server import HubServer
from tests.local.doctor.sources_stage import ACCOUNT, Check, Doctor, assert_healthy, stage_in

REGION = "us-east-1"
TOKEN = "hf_averysecrettoken"
#: The policy that KMS gives a new key: IAM decides.
BY_IAM = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
    ],
}


class Refusing:
    """A client that AWS refuses one operation; the laptop cloud's for every other."""

    def __init__(self, client: Any, operation: str, code: str) -> None:
        self._client, self._operation, self._code = client, operation, code

    def __getattr__(self, name: str) -> Any:
        if name != self._operation:
            return getattr(self._client, name)

        def refuse(**_: Any) -> Any:
            answer = {"Error": {"Code": self._code, "Message": "User is not authorized"}}
            raise ClientError(answer, self._client.meta.method_to_api_mapping[name])  # type: ignore[arg-type]

        return refuse


def refused(
    check: Check, laptop: LaptopCloud, folder: Path, operation: str, code: str, **settings: Any
) -> list[Finding]:
    """Return the findings where one operation is refused by the code of its service."""
    stage = stage_in(folder, **settings)
    return list(check(stage, lambda service: Refusing(laptop.client(service), operation, code)))


def name_of(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:10]}"


def new_key(laptop: LaptopCloud, policy: dict[str, Any] | None = None, **options: Any) -> str:
    """Create a key; return its ARN."""
    policy = policy or BY_IAM
    created = laptop.client("kms").create_key(Policy=json.dumps(policy), **options)
    return str(created["KeyMetadata"]["Arn"])


def states(findings: list[Finding]) -> dict[str, State]:
    return {finding.check: finding.state for finding in findings}


# The Hub token's secret.


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        running.tokens = {TOKEN: set()}
        yield running


@pytest.fixture
def tokens(laptop: LaptopCloud, tmp_path: Path) -> Doctor:
    return Doctor(secret.check, laptop, tmp_path)


def test_a_stage_without_a_secret_has_no_finding(tokens: Doctor) -> None:
    assert tokens.findings() == []


def test_a_token_that_the_hub_accepts_is_healthy(
    tokens: Doctor, laptop: LaptopCloud, server: HubServer
) -> None:
    name = name_of("hub")
    laptop.client("secretsmanager").create_secret(Name=name, SecretString=f"{TOKEN}\n")
    found = tokens.findings(hub_token_secret=name, hub_endpoint=server.endpoint)
    assert_healthy(found)
    assert "of the account reader" in found[-1].found
    assert TOKEN not in str(found)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        # The laptop cloud answers with an empty value; Secrets Manager as in tests/unit/loraserve/doctor.
        ({}, "is empty"),
        ({"SecretString": " \n"}, "is empty"),
        ({"SecretBinary": b"hf_x"}, "is empty, or binary"),
        ({"SecretString": json.dumps({"token": TOKEN})}, "is no token: JSON"),
    ],
)
def test_a_secret_without_a_plain_token_is_a_problem(
    tokens: Doctor, laptop: LaptopCloud, value: dict[str, Any], problem: str
) -> None:
    name = name_of("hub")
    laptop.client("secretsmanager").create_secret(Name=name, **value)
    finding = tokens.one("Hub token", hub_token_secret=name)
    assert finding.state is State.PROBLEM
    assert problem in finding.found
    assert f"put-secret-value --region {REGION} --secret-id {name}" in finding.remedy
    assert TOKEN not in str(finding)


def test_a_missing_secret_and_one_scheduled_for_deletion_are_problems(
    tokens: Doctor, laptop: LaptopCloud
) -> None:
    name = name_of("hub")
    finding = tokens.one("Hub token", hub_token_secret=name)
    assert finding.state is State.PROBLEM
    assert f"create-secret --region {REGION} --name {name}" in finding.remedy
    secrets = laptop.client("secretsmanager")
    secrets.create_secret(Name=name, SecretString=TOKEN)
    secrets.delete_secret(SecretId=name)
    finding = tokens.one("Hub token", hub_token_secret=name)
    assert finding.state is State.PROBLEM
    assert "restore-secret" in finding.remedy


def test_a_token_that_the_hub_refuses_is_a_problem(
    tokens: Doctor, laptop: LaptopCloud, server: HubServer
) -> None:
    name = name_of("hub")
    laptop.client("secretsmanager").create_secret(Name=name, SecretString="hf_revoked")
    finding = tokens.one("Hub token at the Hub", hub_token_secret=name, hub_endpoint=server.endpoint)
    assert finding.state is State.PROBLEM
    assert "hf_revoked" not in str(finding)
    away = tokens.one("Hub token at the Hub", hub_token_secret=name, hub_endpoint="http://127.0.0.1:9")
    assert away.state is State.UNKNOWN


def test_the_secrets_key_must_be_one_that_the_seeder_may_use(
    tokens: Doctor, laptop: LaptopCloud, server: HubServer
) -> None:
    key, name = new_key(laptop), name_of("hub")
    laptop.client("secretsmanager").create_secret(Name=name, SecretString=TOKEN, KmsKeyId=key)
    wanted = {"hub_token_secret": name, "hub_endpoint": server.endpoint}
    finding = tokens.one("Hub token's key", **wanted)
    assert finding.state is State.PROBLEM
    assert f"add {key} to decrypt_keys" in finding.remedy
    assert_healthy(tokens.findings(**wanted, decrypt_keys=[key]))
    laptop.client("kms").disable_key(KeyId=key)
    finding = tokens.one("Hub token's key", **wanted, decrypt_keys=[key])
    assert finding.state is State.PROBLEM
    assert "enable-key" in finding.remedy


def test_a_secret_that_may_not_be_read_is_unknown_with_the_action(
    laptop: LaptopCloud, tmp_path: Path
) -> None:
    name = name_of("hub")
    laptop.client("secretsmanager").create_secret(Name=name, SecretString=TOKEN)
    for operation, action in {
        "describe_secret": "secretsmanager:DescribeSecret",
        "get_secret_value": "secretsmanager:GetSecretValue",
    }.items():
        found = refused(
            secret.check, laptop, tmp_path, operation, "AccessDeniedException",
            hub_token_secret=name, hub_endpoint="http://127.0.0.1:9",
        )  # fmt: skip
        assert found[0].state is State.UNKNOWN
        assert action in found[0].found


# KMS keys.


@pytest.fixture
def kms(laptop: LaptopCloud, tmp_path: Path) -> Doctor:
    return Doctor(keys.check, laptop, tmp_path)


def test_a_stage_without_keys_has_no_finding(kms: Doctor) -> None:
    assert kms.findings() == []


def test_enabled_keys_whose_policies_leave_it_to_iam_are_healthy(kms: Doctor, laptop: LaptopCloud) -> None:
    found = kms.findings(
        security={"key_arn": new_key(laptop)},
        endpoint={"instance_type": "ml.g5.xlarge", "volume_key": new_key(laptop)},
        decrypt_keys=[new_key(laptop)],
    )
    assert_healthy(found)
    assert len(found) == 6


def test_a_key_that_does_not_exist_is_a_problem(kms: Doctor) -> None:
    arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{uuid.uuid4()}"
    finding = kms.one("KMS key security.key_arn", security={"key_arn": arn})
    assert finding.state is State.PROBLEM
    assert "aws kms list-keys" in finding.remedy


@pytest.mark.parametrize(
    ("fault", "problem", "remedy"),
    [
        ("disable_key", "Disabled", "aws kms enable-key"),
        ("schedule_key_deletion", "scheduled for deletion", "aws kms cancel-key-deletion"),
    ],
)
def test_a_key_that_is_not_enabled_is_a_problem(
    kms: Doctor, laptop: LaptopCloud, fault: str, problem: str, remedy: str
) -> None:
    arn = new_key(laptop)
    getattr(laptop.client("kms"), fault)(KeyId=arn)
    finding = kms.one("KMS key security.key_arn", security={"key_arn": arn})
    assert finding.state is State.PROBLEM
    assert problem in finding.found
    assert remedy in finding.remedy


def test_an_asymmetric_key_is_a_problem(kms: Doctor, laptop: LaptopCloud) -> None:
    arn = new_key(laptop, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
    finding = kms.one("KMS key decrypt_keys", decrypt_keys=[arn])
    assert finding.state is State.PROBLEM
    assert "RSA_2048 for SIGN_VERIFY" in finding.found


def test_a_policy_that_does_not_leave_it_to_iam_is_a_problem(kms: Doctor, laptop: LaptopCloud) -> None:
    policy = json.loads(json.dumps(BY_IAM))
    policy["Statement"][0]["Principal"] = {"AWS": f"arn:aws:iam::{ACCOUNT}:role/admin"}
    arn = new_key(laptop, policy)
    finding = kms.one("policy of KMS key security.key_arn", security={"key_arn": arn})
    assert finding.state is State.PROBLEM
    assert f"arn:aws:iam::{ACCOUNT}:root" in finding.remedy
    policy = json.loads(json.dumps(BY_IAM))
    policy["Statement"][0]["Condition"] = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
    arn = new_key(laptop, policy)
    finding = kms.one("policy of KMS key security.key_arn", security={"key_arn": arn})
    assert finding.state is State.UNKNOWN


def test_a_key_of_another_region_or_account_is_unknown(kms: Doctor) -> None:
    far = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{uuid.uuid4()}"
    finding = kms.one("KMS key decrypt_keys", decrypt_keys=[far])
    assert finding.state is State.UNKNOWN
    assert f"--region eu-west-1 --key-id {far}" in finding.remedy


def test_a_refused_question_about_a_key_is_unknown(laptop: LaptopCloud, tmp_path: Path) -> None:
    wanted = {"security": {"key_arn": new_key(laptop)}}
    found = refused(keys.check, laptop, tmp_path, "describe_key", "AccessDeniedException", **wanted)
    assert [finding.state for finding in found] == [State.UNKNOWN]
    assert "kms:DescribeKey" in found[0].found
    found = refused(keys.check, laptop, tmp_path, "get_key_policy", "AccessDeniedException", **wanted)
    assert [finding.state for finding in found] == [State.OK, State.UNKNOWN]


# The alarm topic.


@pytest.fixture
def topics(laptop: LaptopCloud, tmp_path: Path) -> Doctor:
    return Doctor(topic.check, laptop, tmp_path)


#: The policy that SNS gives a new topic.
NEW_TOPIC = {
    "Effect": "Allow",
    "Principal": {"AWS": "*"},
    "Action": ["SNS:GetTopicAttributes", "SNS:Publish"],
    "Resource": "*",
    "Condition": {"StringEquals": {"AWS:SourceOwner": ACCOUNT}},
}
FOR_CLOUDWATCH = {
    "Effect": "Allow",
    "Principal": {"Service": "cloudwatch.amazonaws.com"},
    "Action": "sns:Publish",
    "Resource": "*",
}
KEY_FOR_CLOUDWATCH = FOR_CLOUDWATCH | {"Action": ["kms:Decrypt", "kms:GenerateDataKey*"]}


def new_topic(laptop: LaptopCloud, statement: dict[str, Any], **attributes: str) -> dict[str, Any]:
    """Create a topic with one statement; return the stage's settings for it."""
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    created = laptop.client("sns").create_topic(
        Name=name_of("alarms"), Attributes={"Policy": policy, **attributes}
    )
    return {"observability": {"alarm_topic": created["TopicArn"]}}


@pytest.mark.parametrize("statement", [NEW_TOPIC, FOR_CLOUDWATCH])
def test_a_topic_that_cloudwatch_may_publish_to_is_healthy(
    topics: Doctor, laptop: LaptopCloud, statement: dict[str, Any]
) -> None:
    assert_healthy(topics.findings(**new_topic(laptop, statement)))


def test_a_topic_that_does_not_exist_is_a_problem(topics: Doctor) -> None:
    arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:nothing"
    finding = topics.one("alarm topic", observability={"alarm_topic": arn})
    assert finding.state is State.PROBLEM
    assert "aws sns list-topics" in finding.remedy


def test_a_topic_that_is_closed_to_cloudwatch_is_a_problem(topics: Doctor, laptop: LaptopCloud) -> None:
    closed = FOR_CLOUDWATCH | {"Principal": {"Service": "events.amazonaws.com"}}
    finding = topics.one("policy of the alarm topic", **new_topic(laptop, closed))
    assert finding.state is State.PROBLEM
    assert "set-topic-attributes" in finding.remedy


@pytest.mark.parametrize(
    ("statements", "state"),
    [
        ([BY_IAM["Statement"][0], KEY_FOR_CLOUDWATCH], State.OK),
        (BY_IAM["Statement"], State.PROBLEM),
    ],
)
def test_the_key_of_an_encrypted_topic_must_be_open_to_cloudwatch(
    topics: Doctor, laptop: LaptopCloud, statements: list[dict[str, Any]], state: State
) -> None:
    key = new_key(laptop, {"Version": "2012-10-17", "Statement": statements})
    finding = topics.one("key of the alarm topic", **new_topic(laptop, FOR_CLOUDWATCH, KmsMasterKeyId=key))
    assert finding.state is state
    assert ("put-key-policy" in finding.remedy) == (state is State.PROBLEM)


def test_sns_own_key_is_a_problem(topics: Doctor, laptop: LaptopCloud) -> None:
    wanted = new_topic(laptop, FOR_CLOUDWATCH, KmsMasterKeyId="alias/aws/sns")
    finding = topics.one("key of the alarm topic", **wanted)
    assert finding.state is State.PROBLEM
    assert "CloudWatch may not use" in finding.found


def test_a_topic_that_may_not_be_read_is_unknown(laptop: LaptopCloud, tmp_path: Path) -> None:
    wanted = new_topic(laptop, NEW_TOPIC)
    found = refused(topic.check, laptop, tmp_path, "get_topic_attributes", "AuthorizationError", **wanted)
    assert [finding.state for finding in found] == [State.UNKNOWN]
    assert "sns:GetTopicAttributes" in found[0].found


# The network.


class Vpc:
    """A VPC with private subnets in two zones and a gateway endpoint for S3."""

    def __init__(self, laptop: LaptopCloud) -> None:
        self.ec2 = laptop.client("ec2")
        self.id = self.ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
        self.table = self.ec2.create_route_table(VpcId=self.id)["RouteTable"]["RouteTableId"]
        self.subnets = [self.subnet(f"10.7.{number}.0/24", zone) for number, zone in enumerate("ab")]
        self.group = self.ec2.create_security_group(GroupName=name_of("g"), Description="x", VpcId=self.id)[
            "GroupId"
        ]

    def subnet(self, cidr: str, zone: str) -> str:
        created = self.ec2.create_subnet(VpcId=self.id, CidrBlock=cidr, AvailabilityZone=f"{REGION}{zone}")
        subnet = str(created["Subnet"]["SubnetId"])
        self.ec2.associate_route_table(RouteTableId=self.table, SubnetId=subnet)
        return subnet

    def add_s3(self) -> None:
        self.ec2.create_vpc_endpoint(
            VpcId=self.id, ServiceName=f"com.amazonaws.{REGION}.s3", RouteTableIds=[self.table]
        )

    def settings(self, **network: Any) -> dict[str, Any]:
        values = {
            "mode": "private",
            "vpc_id": self.id,
            "subnet_ids": self.subnets,
            "security_group_ids": [self.group],
        }
        return {"network": values | network}


@pytest.fixture
def vpc(laptop: LaptopCloud) -> Vpc:
    return Vpc(laptop)


@pytest.fixture
def networks(laptop: LaptopCloud, tmp_path: Path) -> Doctor:
    return Doctor(network.check, laptop, tmp_path)


def test_a_public_network_has_no_finding(networks: Doctor) -> None:
    assert networks.findings() == []


def test_a_vpc_with_what_instances_need_is_healthy(networks: Doctor, vpc: Vpc) -> None:
    vpc.add_s3()
    found = networks.findings(**vpc.settings())
    assert_healthy(found)
    assert [f.check for f in found] == [
        "VPC", "subnets", "subnet addresses", "subnet routes", "security groups"
    ]  # fmt: skip


def test_names_that_do_not_exist_are_problems(networks: Doctor, vpc: Vpc) -> None:
    found = networks.findings(
        **vpc.settings(
            vpc_id="vpc-0123456789abcdef0",
            subnet_ids=[vpc.subnets[0], "subnet-0123456789abcdef0"],
            security_group_ids=["sg-0123456789abcdef0"],
        )
    )
    assert states(found) == {
        "VPC": State.PROBLEM,
        "subnets": State.PROBLEM,
        "security groups": State.PROBLEM,
    }
    assert [finding.found.split(" ")[0] for finding in found] == [
        "vpc-0123456789abcdef0", "subnet-0123456789abcdef0", "sg-0123456789abcdef0"
    ]  # fmt: skip
    assert all("aws ec2 describe-" in finding.remedy for finding in found)


def test_subnets_and_groups_of_another_vpc_are_problems(
    networks: Doctor, laptop: LaptopCloud, vpc: Vpc
) -> None:
    other = Vpc(laptop)
    wanted = vpc.settings(subnet_ids=[vpc.subnets[0], other.subnets[1]], security_group_ids=[other.group])
    found = {finding.check: finding for finding in networks.findings(**wanted)}
    for check, name in (("subnets", other.subnets[1]), ("security groups", other.group)):
        assert found[check].state is State.PROBLEM
        assert found[check].found == f"{name} are not in {vpc.id}"


def test_subnets_of_one_zone_are_a_problem(networks: Doctor, vpc: Vpc) -> None:
    same = vpc.subnet("10.7.9.0/24", "a")
    finding = networks.one("subnets", **vpc.settings(subnet_ids=[vpc.subnets[0], same]))
    assert finding.state is State.PROBLEM
    assert f"all are in {REGION}a" in finding.found


def test_too_few_addresses_are_a_problem(networks: Doctor, vpc: Vpc) -> None:
    # The laptop cloud counts no addresses of instances: each subnet has 251 free ones.
    wanted = vpc.settings() | {
        "endpoint": {"instance_type": "ml.g5.xlarge", "instance_count": 200},
        "autoscaling": {"min_instances": 200, "max_instances": 200},
    }
    finding = networks.one("subnet addresses", **wanted)
    assert finding.state is State.PROBLEM
    assert finding.found == "502 free, an update needs 600"


def test_subnets_without_a_way_to_s3_are_a_problem(networks: Doctor, vpc: Vpc) -> None:
    finding = networks.one("subnet routes", **vpc.settings())
    assert finding.state is State.PROBLEM
    assert f"--route-table-ids {vpc.table})" in finding.remedy
    gateway = vpc.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    vpc.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc.id)
    vpc.ec2.create_route(RouteTableId=vpc.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    # Instances have no public address, which an internet gateway serves.
    assert networks.one("subnet routes", **vpc.settings()).state is State.PROBLEM


def test_a_model_from_the_hub_needs_a_nat_gateway(networks: Doctor, vpc: Vpc) -> None:
    vpc.add_s3()
    wanted = vpc.settings(mode="vpc") | {"base_model": {"name": "acme/wide", "revision": "0" * 40}}
    finding = networks.one("subnet routes", **wanted)
    assert finding.state is State.PROBLEM
    assert "base_model.mirror: true" in finding.remedy
    nat = vpc.ec2.create_nat_gateway(SubnetId=vpc.subnets[0])["NatGateway"]["NatGatewayId"]
    vpc.ec2.create_route(RouteTableId=vpc.table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    assert networks.one("subnet routes", **wanted).state is State.OK


def test_groups_that_let_nothing_out_are_a_problem(networks: Doctor, vpc: Vpc) -> None:
    rules = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    vpc.ec2.revoke_security_group_egress(GroupId=vpc.group, IpPermissions=rules)
    finding = networks.one("security groups", **vpc.settings())
    assert finding.state is State.PROBLEM
    assert "authorize-security-group-egress" in finding.remedy


@pytest.mark.parametrize(
    ("operation", "check", "action"),
    [
        ("describe_vpcs", "VPC", "ec2:DescribeVpcs"),
        ("describe_subnets", "subnets", "ec2:DescribeSubnets"),
        ("describe_security_groups", "security groups", "ec2:DescribeSecurityGroups"),
        ("describe_route_tables", "subnet routes", "ec2:DescribeRouteTables"),
        ("describe_vpc_endpoints", "subnet routes", "ec2:DescribeVpcEndpoints"),
    ],
)
def test_a_refused_question_about_the_network_leaves_the_others(
    laptop: LaptopCloud, tmp_path: Path, vpc: Vpc, operation: str, check: str, action: str
) -> None:
    vpc.add_s3()
    found = refused(network.check, laptop, tmp_path, operation, "UnauthorizedOperation", **vpc.settings())
    assert {title for title, state in states(found).items() if state is not State.OK} == {check}
    [finding] = [finding for finding in found if finding.check == check]
    assert finding.state is State.UNKNOWN
    assert action in finding.found


def test_the_zones_of_a_new_vpc(networks: Doctor) -> None:
    found = networks.findings(network={"mode": "vpc"})
    assert [(f.check, f.state, f.found) for f in found] == [("zones", State.OK, f"{REGION}a, {REGION}b")]


# The image.


DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"


def pushed(laptop: LaptopCloud, kind: str, **manifest: Any) -> dict[str, Any]:
    """Put an image into a new repository; return the stage's settings for it."""
    ecr, name = laptop.client("ecr"), name_of("images")
    ecr.create_repository(repositoryName=name)
    for entry in manifest.get("manifests", []):  # ECR takes an index after its images
        child = json.dumps({"schemaVersion": 2, "mediaType": DOCKER, "annotations": entry["platform"]})
        put = ecr.put_image(repositoryName=name, imageManifest=child, imageManifestMediaType=DOCKER)
        entry["digest"] = put["image"]["imageId"]["imageDigest"]
    text = json.dumps({"schemaVersion": 2, "mediaType": kind, **manifest})
    ecr.put_image(repositoryName=name, imageManifest=text, imageManifestMediaType=kind, imageTag="v1")
    return {"image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{name}:v1"}


def platform(architecture: str) -> dict[str, Any]:
    return {"platform": {"os": "linux", "architecture": architecture}}


def test_an_image_of_ecr(laptop: LaptopCloud, tmp_path: Path) -> None:
    doctor = Doctor(image.check, laptop, tmp_path)
    assert doctor.findings() == []
    wanted = pushed(laptop, DOCKER)
    assert_healthy(doctor.findings(**wanted))
    [finding] = doctor.findings(image=wanted["image"].replace(":v1", ":v2"))
    assert finding.state is State.PROBLEM
    assert "ImageNotFound" in finding.found
    [finding] = doctor.findings(image=wanted["image"].replace("images-", "pictures-"))
    assert finding.state is State.PROBLEM
    assert "create-repository" in finding.remedy
    [finding] = refused(image.check, laptop, tmp_path, "batch_get_image", "AccessDeniedException", **wanted)
    assert finding.state is State.UNKNOWN
    assert "ecr:BatchGetImage" in finding.found


def test_an_image_for_another_architecture_is_a_problem(laptop: LaptopCloud, tmp_path: Path) -> None:
    doctor = Doctor(image.check, laptop, tmp_path)
    [finding] = doctor.findings(**pushed(laptop, INDEX, manifests=[platform("arm64")]))
    assert finding.state is State.PROBLEM
    assert "is for linux/arm64" in finding.found
    [finding] = doctor.findings(**pushed(laptop, INDEX, manifests=[platform("arm64"), platform("amd64")]))
    assert finding.state is State.UNKNOWN
