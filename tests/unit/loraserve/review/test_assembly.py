"""Addresses of assets in another account or region."""

import json
from pathlib import Path

import pytest

from loraserve.review.assembly import AssemblyError, Stack, read_assembly

ANY = "${AWS::AccountId}"


def stack(account: str, region: str) -> Stack:
    return Stack(
        name="Store", stack_name="Store", account=account, region=region, termination_protection=False,
        tags={}, dependencies=(), template={},
    )  # fmt: skip


def image(account: str, region: str, repository: str = "cdk-hnb659fds-container-assets") -> str:
    return f"{account}.dkr.ecr.{region}.${{AWS::URLSuffix}}/{repository}-{account}-{region}:abc"


@pytest.mark.parametrize(("before", "after", "is_same"), [
    (f"cdk-hnb659fds-assets-{ANY}-us-east-1", "cdk-hnb659fds-assets-111122223333-us-west-2", True),
    (image(ANY, "us-east-1"), image("111122223333", "us-west-2"), True),
    # Of another account or region than the stack's, another qualifier, or not of the bootstrap at all.
    (f"cdk-hnb659fds-assets-{ANY}-us-east-1", "cdk-hnb659fds-assets-444455556666-us-west-2", False),
    (f"cdk-hnb659fds-assets-{ANY}-us-east-1", "cdk-hnb659fds-assets-111122223333-us-west-1", False),
    (f"cdk-hnb659fds-assets-{ANY}-us-east-1", "cdk-other-assets-111122223333-us-west-2", False),
    (f"cdk-hnb659fds-assets-{ANY}-us-east-1", "cdk-hnb659fds-assets-111122223333-us-west-2-x", False),
    ("code-us-east-1", "code-us-west-2", False),
    (image(ANY, "us-east-1"), image("444455556666", "us-west-2"), False),
    (image(ANY, "us-east-1", "other"), image("111122223333", "us-west-2", "other"), False),
    (image(ANY, "us-east-1"), image("111122223333", "us-west-2").replace("${AWS::URLSuffix}", "example.com"), False),
])  # fmt: skip
def test_a_bootstrap_resource_of_the_stacks_own_environment_is_the_same_in_another(
    before: str, after: str, is_same: bool
) -> None:
    old, new = stack("unknown-account", "us-east-1"), stack("111122223333", "us-west-2")
    assert (old.without_environment(before) == new.without_environment(after)) is is_same


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ('{"Resources": []}', "Resources"),
        ('{"Resources": {"Queue": "x"}}', "Queue"),
        ('{"Resources": {"Queue": {"Properties": {}}}}', "Queue"),
        ("[]", "JSON object"),
        ("{", "cannot be read"),
    ],
)
def test_a_broken_template_is_named(tmp_path: Path, template: str, named: str) -> None:
    stack_artifact = {
        "type": "aws:cloudformation:stack",
        "environment": "aws://unknown-account/us-east-1",
        "displayName": "Prod/Serving",
        "properties": {"templateFile": "serving.json"},
    }
    nested = {"type": "cdk:cloud-assembly", "properties": {"directoryName": "."}, "displayName": "Prod"}
    (tmp_path / "manifest.json").write_text(
        json.dumps({"artifacts": {"assembly-Prod": nested, "Serving": stack_artifact}})
    )
    (tmp_path / "serving.json").write_text(template)
    with pytest.raises(AssemblyError, match=rf"serving\.json.*{named}"):
        read_assembly(tmp_path)
