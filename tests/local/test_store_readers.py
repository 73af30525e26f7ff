"""The policies of a store for the stage in another account, enforced: what they allow, and nothing else.

The bucket, its key and their policies are those of the giving stage's template, the rights of the taker those of
its seeder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aws_cdk.assertions import Template
from botocore.exceptions import ClientError

from adapters.store.layout import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    RegistryEntry,
    content_digest,
    registry_key,
    revision_of,
)
from laptop_cloud.cloud import LaptopCloud
from loraserve.adapters.locked_revisions import check_locked_adapters
from loraserve.finding import State
from stacks.config.loading import load_stage
from stacks.facts import PackedAdapterFacts
from stacks.stage_stacks import create_adapter_store
from tests.harness.assembly import empty_app
from tests.local.cloud.test_cloud_accounts import Role

GIVER, TAKER, OTHER = "111111111111", "222222222222", "333333333333"
BUCKET, OWN = "giving-store", "taking-store"
STAGE = """
account: "{account}"
base_model: {{name: acme/base, revision: 9ab9e76e2b09f9f29ea2d56aa5bd139e4445c59e}}
adapters: {name}.lock.yaml
autoscaling: {{target: 5}}  # none is derived without the model's size
{more}
"""
CONFIG, WEIGHTS = b"{}", b"weights"
SHA256 = {CONFIG_FILE: hashlib.sha256(CONFIG).hexdigest(), WEIGHTS_FILE: hashlib.sha256(WEIGHTS).hexdigest()}
DIGEST = content_digest(SHA256)
ENTRY = RegistryEntry(
    "otter", revision_of(DIGEST), DIGEST, 8, len(WEIGHTS), "acme/base", "./otter", sha256=SHA256[WEIGHTS_FILE]
)
OBJECTS = {
    ENTRY.prefix + CONFIG_FILE: CONFIG,
    ENTRY.prefix + WEIGHTS_FILE: WEIGHTS,
    registry_key("otter"): ENTRY.to_json(),
    "releases/current.json": b"{}",
}
KEPT = ("captured/2026/prompts.jsonl", "seeding/stack/record.json", "models/acme/base/config.json")
LOCKED = PackedAdapterFacts(
    names=("otter",), source=f"s3://{BUCKET}/{ENTRY.prefix}", sha256=None, digest=DIGEST, labels={}
)


def template(folder: Path, name: str, account: str, more: str, adapters: str) -> Template:
    (folder / f"{name}.yaml").write_text(STAGE.format(account=account, name=name, more=more))
    (folder / f"{name}.lock.yaml").write_text(adapters)
    app = empty_app(folder / f"{name}.out")
    return Template.from_stack(create_adapter_store(app, load_stage(folder / f"{name}.yaml")))


def resolved(value: Any, names: dict[str, str]) -> Any:
    """Return a value of a template with the names and ARNs of its resources."""
    match value:
        case {"Fn::Join": [separator, parts]}:
            return separator.join(resolved(part, names) for part in parts)
        case {"Fn::GetAtt": [resource, "Arn"]} | {"Ref": resource}:
            return next((known for start, known in names.items() if resource.startswith(start)), resource)
        case dict():
            return {key: resolved(each, names) for key, each in value.items()}
        case list():
            return [resolved(each, names) for each in value]
    return value


class Stores:
    """The giving store with its template's policies, and a role with the rights of the taking seeder."""

    def __init__(self, cloud: LaptopCloud, folder: Path) -> None:
        self.cloud = cloud
        giving = template(folder, "dev", GIVER, f"store_readers: ['{TAKER}']", "adapters: []")
        kms, s3 = (cloud.client(name, account=GIVER) for name in ("kms", "s3"))
        self.key = kms.create_key()["KeyMetadata"]["Arn"]
        names = {"Bucket": f"arn:aws:s3:::{BUCKET}", "AWS::Partition": "aws"}
        [key] = giving.find_resources("AWS::KMS::Key").values()
        kms.put_key_policy(KeyId=self.key, Policy=json.dumps(resolved(key["Properties"]["KeyPolicy"], names)))
        s3.create_bucket(Bucket=BUCKET)
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.key}
        s3.put_bucket_encryption(
            Bucket=BUCKET,
            ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": default}]},
        )
        [policy] = giving.find_resources("AWS::S3::BucketPolicy").values()
        statements = [
            # The laptop cloud has no TLS.
            one
            for one in resolved(policy["Properties"]["PolicyDocument"], names)["Statement"]
            if one["Effect"] == "Allow"
        ]
        s3.put_bucket_policy(
            Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements})
        )
        for key_, body in (OBJECTS | dict.fromkeys(KEPT, b"kept")).items():
            s3.put_object(Bucket=BUCKET, Key=key_, Body=body)
        lock = json.dumps(
            {"adapters": [{"name": "otter", "digest": DIGEST, "source": f"s3://{BUCKET}/{ENTRY.prefix}"}]}
        )
        more = f"promote_from: dev\nadapters_locked: true\ndecrypt_keys: ['{self.key}']"
        taking = template(folder, "staging", TAKER, more, lock)
        self.rights = [
            resolved(one, {"AWS::Partition": "aws"})
            for each in taking.find_resources("AWS::IAM::Policy").values()
            for one in each["Properties"]["PolicyDocument"]["Statement"]
            if one.get("Sid") in {"ReadSources", "ListSources", "DecryptSources"}
        ]
        cloud.client("s3", account=TAKER).create_bucket(Bucket=OWN)

    def client(self, account: str, *, decrypts: bool = True) -> Any:
        """Return an S3 client with the rights of the taking seeder, in an account."""
        role = Role(self.cloud, account, f"seeder-{account}-{decrypts}")
        own = {
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:GetObject"],
            "Resource": f"arn:aws:s3:::{OWN}/*",
        }
        role.may(*(one for one in self.rights if decrypts or one["Sid"] != "DecryptSources"), own)
        return role.client("s3")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with LaptopCloud(tmp_path_factory.mktemp("readers"), enforce_iam=True) as cloud:
        yield Stores(cloud, tmp_path_factory.mktemp("stages"))


@pytest.fixture(scope="module")
def taker(stores: Stores) -> Any:
    return stores.client(TAKER)


def status(call: Callable[[], Any]) -> int:
    """Return the HTTP status of a request."""
    try:
        call()
    except ClientError as refused:
        return int(refused.response["ResponseMetadata"]["HTTPStatusCode"])
    return 200


def statuses(s3: Any) -> dict[str, int]:
    """Return the answers to what no reader may do."""
    calls: dict[str, Callable[[], Any]] = {
        "list": lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix="adapters/"),
        "versions": lambda: s3.list_object_versions(Bucket=BUCKET, Prefix="adapters/"),
        "put": lambda: s3.put_object(Bucket=BUCKET, Key=f"{ENTRY.prefix}x", Body=b"x"),
        "delete": lambda: s3.delete_object(Bucket=BUCKET, Key=registry_key("otter")),
        "tags": lambda: s3.get_object_tagging(Bucket=BUCKET, Key=registry_key("otter")),
        **{key: partial(s3.get_object, Bucket=BUCKET, Key=key) for key in KEPT},
    }
    return {name: status(call) for name, call in calls.items()}


def checked(s3: Any) -> list[tuple[State, str]]:
    found = check_locked_adapters(s3, [LOCKED], giving="dev", giving_bucket=BUCKET, own_bucket=None)
    return [(one.state, one.found) for one in found]


def test_the_seeder_of_the_other_account_reads_and_copies_the_locked_adapter(taker: Any) -> None:
    for file, content in {CONFIG_FILE: CONFIG, WEIGHTS_FILE: WEIGHTS}.items():
        source = {"Bucket": BUCKET, "Key": ENTRY.prefix + file}
        assert taker.get_object(**source)["Body"].read() == content
        taker.head_object(**source, ChecksumMode="ENABLED")
        taker.copy_object(Bucket=OWN, Key=source["Key"], CopySource=source, TaggingDirective="REPLACE")
        assert taker.get_object(Bucket=OWN, Key=source["Key"])["Body"].read() == content


def test_the_seeder_may_read_nothing_else_and_list_and_write_nothing(taker: Any) -> None:
    assert set(statuses(taker).values()) == {403}, statuses(taker)
    for key in (registry_key("otter"), "releases/current.json"):
        assert status(partial(taker.get_object, Bucket=BUCKET, Key=key)) == 403


def test_a_role_with_every_right_of_the_other_account_gets_three_prefixes_and_no_more(stores: Stores) -> None:
    role = Role(stores.cloud, TAKER, "everything")
    role.may({"Effect": "Allow", "Action": ["s3:*", "kms:*"], "Resource": "*"})
    s3 = role.client("s3")
    for key, content in OBJECTS.items():
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == content
    assert checked(s3) == [(State.OK, "1, as in the registry of stage 'dev', readable from here")]
    assert set(statuses(s3).values()) == {403}, statuses(s3)


def test_without_the_key_nothing_is_read_and_a_third_account_gets_nothing(stores: Stores) -> None:
    source = {"Bucket": BUCKET, "Key": ENTRY.prefix + CONFIG_FILE}
    assert status(partial(stores.client(TAKER, decrypts=False).get_object, **source)) == 403
    other = stores.client(OTHER)
    assert status(partial(other.get_object, **source)) == 403
    [(state, found)] = checked(other)
    assert (state, found.startswith("otter: S3 answers AccessDenied")) == (State.PROBLEM, True)
