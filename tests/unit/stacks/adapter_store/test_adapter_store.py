"""The manifest's asset, and the warning about removals."""

import json
import shutil
from pathlib import Path

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
