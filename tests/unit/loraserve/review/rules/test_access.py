"""Findings of changed access, over a small stage: one comparison for all changes."""

from dataclasses import replace
from typing import Any

import pytest

from loraserve.review.assembly import CloudAssembly, Stack, Stage
from loraserve.review.comparison import StageComparison, compare
from loraserve.review.finding import MAX_TITLE, Level, ReviewFinding
from loraserve.review.rules.access import access
from loraserve.review.rules.roles import roles
from loraserve.review.rules.security_groups import security_groups
from stacks.facts import StageFacts
from tests.unit.loraserve.review.rules.access_cases import CASES, base

_TEMPLATE = {
    "Parameters": {"Anything": {"Type": "String", "Default": "*"}},
    "Conditions": {"Chosen": {"Fn::Equals": [{"Ref": "Anything"}, "*"]}},
}
_OUTPUTS = {
    "Arn": {"Value": {"Fn::GetAtt": ["Bucket", "Arn"]}, "Export": {"Name": "BucketArn"}},
    "Name": {"Value": {"Ref": "Bucket"}, "Export": {"Name": "BucketName"}},
    "Key": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}, "Export": {"Name": "KeyArn"}},
}


def _stage(name: str, stacks: dict[str, dict[str, Any]]) -> Stage:
    return Stage(
        id=name,
        stacks={
            stack: Stack(
                name=stack,
                stack_name=f"App-{stack}",
                account="111122223333",
                region="eu-west-1",
                termination_protection=False,
                tags={},
                dependencies=(),
                template={
                    **_TEMPLATE,
                    "Resources": resources,
                    **({"Outputs": _OUTPUTS} if stack == "Store" else {}),
                },
            )
            for stack, resources in stacks.items()
        },
        facts=None,
        assets={},
    )


def _edited(name: str) -> Stage:
    stacks = base()
    CASES[name][0](stacks)
    return _stage(name, stacks)


def _findings(change: StageComparison) -> list[ReviewFinding]:
    return [each for rule in (access, roles, security_groups) for each in rule(change)]


@pytest.fixture(scope="module")
def changes() -> dict[str, StageComparison]:
    before = CloudAssembly(
        stages={name: _stage(name, base()) for name in [*CASES, "same", "gone"]}, prices_date=None
    )
    after = {name: _edited(name) for name in CASES}
    after |= {"same": _stage("same", base()), "new": _stage("new", base())}
    stacks = base()
    for name in ("bucket for another account", "public function", "callers: whole service"):
        CASES[name][0](stacks)
    after["new and open"] = _stage("new and open", stacks)
    return {each.id: each for each in compare(before, CloudAssembly(stages=after, prices_date=None))}


@pytest.mark.parametrize("name", CASES)
def test_a_change_has_its_findings(changes: dict[str, StageComparison], name: str):
    found = _findings(changes[name])

    assert {f"{each.rule} {each.level.name}" for each in found} == CASES[name][1]
    assert all(len(each.title) <= MAX_TITLE for each in found)
    claimed = {difference for each in found for difference in each.differences}
    rest = [each for each in changes[name].differences if each not in claimed]
    assert {each.type for each in rest} <= {"", "AWS::Lambda::Function", "AWS::SageMaker::EndpointConfig"}


def test_more_egress_is_routine_where_a_nat_gateway_leads_everywhere(changes: dict[str, StageComparison]):
    change = changes["egress to everywhere"]
    assert change.after is not None
    facts = StageFacts.model_construct(network="vpc")

    found = _findings(replace(change, after=replace(change.after, facts=facts)))

    assert {f"{each.rule} {each.level.name}" for each in found} == {"access.network ROUTINE"}


def test_equal_stages_have_no_finding(changes: dict[str, StageComparison]):
    assert _findings(changes["same"]) == []


def test_a_new_stage_is_routine_where_nothing_is_public(changes: dict[str, StageComparison]):
    assert {each.level for each in _findings(changes["new"])} <= {Level.ROUTINE, Level.NOISE}


def test_a_new_stage_is_blocked_where_something_is_public(changes: dict[str, StageComparison]):
    found = _findings(changes["new and open"])

    assert {f"{each.rule} {each.level.name}" for each in found if each.level > Level.ROUTINE} == {
        "access.foreign REVIEW",
        "access.public BLOCK",
        "access.callers BLOCK",
    }


def test_a_removed_stage_has_no_finding_of_access(changes: dict[str, StageComparison]):
    """Nothing is deleted by it: another rule says what stays."""
    assert _findings(changes["gone"]) == []


def test_a_finding_says_who_may_do_what(changes: dict[str, StageComparison]):
    (found,) = _findings(changes["action added"])

    assert found.title == "role Serving/Role may now s3:PutObject on Store/Bucket/models/meta/llama/r1/*"
    assert found.details == ("s3: PutObject on Store/Bucket/models/meta/llama/r1/*",)


def test_roles_without_their_boundary_are_one_finding(changes: dict[str, StageComparison]):
    (found,) = _findings(changes["boundary gone"])

    assert found.title == "permissions boundary gone from 2 roles"
    assert len(found.differences) == 2
