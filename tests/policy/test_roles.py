"""The roles of the pipeline under the scanners of the stages, with the reason of each wildcard."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

import pytest

from tests.harness.roles import roles_app
from tests.policy.scanners import Finding, cdk_nag, cfn_lint, checkov


class Wildcard(NamedTuple):
    """A wildcard that statements have, as cdk-nag names it."""

    pattern: str
    reason: str


ARN = "Resource::arn:<AWS::Partition>"
OWN = "<AWS::Region>:<AWS::AccountId>"
WILDCARDS = (
    Wildcard("Resource::[*]", "These actions have no resource, list what exists, or read configurations."),
    Wildcard(
        f"{ARN}:cloudformation:{OWN}:stack/LoraServing-*/[*]", "The ARN of a stack ends with a random id."
    ),
    Wildcard(f"{ARN}:sagemaker:{OWN}:endpoint-config/[*]", "CloudFormation generates names of configs."),
    Wildcard(f"{ARN}:sagemaker:{OWN}:model/[*]", "CloudFormation generates names of models."),
    Wildcard(f"{ARN}:s3:::loraserving-*[*]", "CloudFormation generates the end of the bucket's name."),
    Wildcard(f"{ARN}:s3:::loraserving-*/[*]", "Objects below a prefix of the store."),
    Wildcard(f"{ARN}:lambda:{OWN}:function:LoraServing-*-[*]", "CloudFormation generates the end."),
    Wildcard(f"{ARN}:kms:{OWN}:key/[*]", "The id of a key is random: it is bound to its use through S3."),
)


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    assembly = tmp_path_factory.mktemp("roles")
    nagging = cdk_nag(roles_app(assembly))
    return [*nagging, *cfn_lint(assembly), *checkov(assembly, tmp_path_factory.mktemp("home"))]


def covers(wildcard: Wildcard, finding: Finding) -> bool:
    return fnmatchcase(finding.rule, f"AwsSolutions-IAM5[[]{wildcard.pattern}]")


def test_the_scanners_find_wildcards_alone_and_each_has_its_reason(findings: list[Finding]) -> None:
    unknown = [f for f in findings if not any(covers(wildcard, f) for wildcard in WILDCARDS)]
    assert [f"{f.scanner} {f.rule} at {f.construct}: {f.text}" for f in unknown] == []


@pytest.mark.parametrize("wildcard", WILDCARDS, ids=lambda wildcard: wildcard.pattern)
def test_each_reason_is_still_needed(findings: list[Finding], wildcard: Wildcard) -> None:
    assert any(covers(wildcard, finding) for finding in findings)
