"""The manifest's asset, and the warning about removals."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from aws_cdk.assertions import Template

from adapters.files import LocalFile
from ingest.archive import Archive
from lambdas.adapter_seeder.desired_state import DesiredState
from stacks.config.loading import load_stage
from stacks.stage_stacks import create_adapter_store
from tests.harness.assembly import empty_app

STAGE = """
account: '123456789012'
base_model: {name: acme/base, revision: 9ab9e76e2b09f9f29ea2d56aa5bd139e4445c59e}
adapters: adapters.yaml
autoscaling: {target: 5}  # none is derived without the model's size
"""
MANIFEST = "adapters:\n  - {name: gsm8k, source: 's3://bucket/gsm8k/'}\n"


@pytest.mark.parametrize(("removals", "share", "warns"), [("", 0.2, False), ("removals: allow", 1.0, True)])
def test_the_share_of_removals_is_in_the_manifests_asset_and_allow_is_warned_of(
    tmp_path: Path, removals: str, share: float, warns: bool
) -> None:
    (tmp_path / "adapters.yaml").write_text(MANIFEST + removals)
    (tmp_path / "dev.yaml").write_text(STAGE)
    app = empty_app(tmp_path / "out")
    create_adapter_store(app, load_stage(tmp_path / "dev.yaml"))
    folder = Path(app.synth().directory)
    [metadata] = folder.glob("*.metadata.json")
    assert (
        "the manifest has `removals: allow`: deploys may remove any number" in metadata.read_text()
    ) is warns
    [asset] = {
        file.parent for file in folder.rglob("manifest.json") if "removals" in json.loads(file.read_text())
    }
    archive = shutil.make_archive(str(tmp_path / "asset"), "zip", asset)
    assert DesiredState.read("key", Archive(LocalFile(Path(archive)))).removals == share


def test_the_seeder_may_read_the_status_of_its_stack_alone(tmp_path: Path) -> None:
    (tmp_path / "adapters.yaml").write_text(MANIFEST)
    (tmp_path / "dev.yaml").write_text(STAGE)
    stack = create_adapter_store(empty_app(tmp_path / "out"), load_stage(tmp_path / "dev.yaml"))
    policies = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    [statement] = [
        statement
        for policy in policies
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "cloudformation" in str(statement["Action"])
    ]
    assert (statement["Action"], statement["Resource"]) == (
        "cloudformation:DescribeStacks",
        {"Ref": "AWS::StackId"},
    )


LOCKED = (
    "adapters:\n  - {name: gsm8k, source: 's3://giving/adapters/gsm8k/"
    + "0" * 16
    + "/', digest: '"
    + "0" * 64
    + "', origin: 'hf://acme/gsm8k@"
    + "0" * 40
    + "'}\n"
)
READER, ROLE = "222222222222", "arn:aws:iam::333333333333:role/Deploy"


def synthesized(folder: Path, stage: str, manifest: str) -> Template:
    (folder / "adapters.yaml").write_text(manifest)
    (folder / "dev.yaml").write_text(STAGE + stage)
    return Template.from_stack(
        create_adapter_store(empty_app(folder / "out"), load_stage(folder / "dev.yaml"))
    )


def statement(template: Template, resource: str, document: str, sid: str) -> dict[str, Any] | None:
    [found] = [
        [one for one in each["Properties"][document]["Statement"] if one.get("Sid") == sid]
        for each in template.find_resources(resource).values()
    ]
    return found[0] if found else None


def test_readers_may_get_objects_of_three_prefixes_and_decrypt_through_s3_and_nothing_else(
    tmp_path: Path,
) -> None:
    template = synthesized(tmp_path, f"store_readers: ['{READER}', '{ROLE}']", MANIFEST)
    principals = [f"arn:aws:iam::{READER}:root", ROLE]
    read = statement(template, "AWS::S3::BucketPolicy", "PolicyDocument", "ReadByStages")
    assert read is not None
    assert (read["Action"], read["Principal"]) == ("s3:GetObject", {"AWS": principals})
    assert [one["Fn::Join"][1][1] for one in read["Resource"]] == [
        "/adapters/*",
        "/registry/*",
        "/releases/*",
    ]
    decrypt = statement(template, "AWS::KMS::Key", "KeyPolicy", "DecryptByStages")
    assert decrypt is not None
    assert (decrypt["Action"], decrypt["Principal"]) == ("kms:Decrypt", {"AWS": principals})
    assert decrypt["Condition"] == {"StringLike": {"kms:ViaService": "s3.us-east-1.*"}}
    text = json.dumps(template.to_json())
    assert text.count(READER) == text.count(ROLE) == 2


def test_without_readers_no_policy_names_another_account(tmp_path: Path) -> None:
    template = synthesized(tmp_path, "", MANIFEST)
    assert statement(template, "AWS::S3::BucketPolicy", "PolicyDocument", "ReadByStages") is None
    assert statement(template, "AWS::KMS::Key", "KeyPolicy", "DecryptByStages") is None


def test_a_bucket_with_s3s_own_encryption_needs_no_key_for_its_readers(tmp_path: Path) -> None:
    template = synthesized(
        tmp_path, f"store_readers: ['{READER}']\nsecurity: {{encryption: s3_managed}}", MANIFEST
    )
    assert statement(template, "AWS::S3::BucketPolicy", "PolicyDocument", "ReadByStages") is not None
    assert template.find_resources("AWS::KMS::Key") == {}


@pytest.mark.parametrize(
    ("stage", "manifest", "objects", "lists"),
    [
        ("", MANIFEST, "bucket/*", True),
        ("promote_from: qa\nadapters_locked: true", LOCKED, "giving/adapters/*", False),
    ],
)
def test_the_seeder_of_a_locked_stage_reads_adapters_alone_and_lists_no_source(
    tmp_path: Path, stage: str, manifest: str, objects: str, lists: bool
) -> None:
    policies = synthesized(tmp_path, stage, manifest).find_resources("AWS::IAM::Policy").values()
    statements = {
        one["Sid"]: one
        for policy in policies
        for one in policy["Properties"]["PolicyDocument"]["Statement"]
        if "Sid" in one
    }
    assert statements["ReadSources"]["Resource"] == f"arn:aws:s3:::{objects}"
    assert ("ListSources" in statements) is lists


def test_the_seeder_gets_digest_and_origin_of_a_locked_adapter(tmp_path: Path) -> None:
    synthesized(tmp_path, "promote_from: qa\nadapters_locked: true", LOCKED)
    manifest = load_stage(tmp_path / "dev.yaml").manifest
    (tmp_path / "packed").mkdir()
    packed = manifest.pack(tmp_path, tmp_path / "packed")
    archive = tmp_path / "packed.zip"
    with zipfile.ZipFile(archive, "w") as asset:
        asset.writestr("manifest.json", json.dumps({"adapters": packed, "removals": 0.2, "model": {}}))
    [adapter] = DesiredState.read("key", Archive(LocalFile(archive))).adapters
    assert (adapter.digest, adapter.origin) == ("0" * 64, "hf://acme/gsm8k@" + "0" * 40)
