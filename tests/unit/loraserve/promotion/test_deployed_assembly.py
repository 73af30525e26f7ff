"""An assembly made of the deployed stacks, reviewed against a release."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loraserve.finding import State
from loraserve.promotion.checks.change import accepted_rules, check_review, check_way_back, reviewed
from loraserve.promotion.deployed_assembly import (
    DeployedStack,
    deployed_side,
    deployed_stacks,
    templates_sha256,
    with_characters,
    write_assembly,
)
from loraserve.release.release import as_returned, template_sha256
from loraserve.review.assembly import Stage, read_assembly
from loraserve.review.sides import Side
from stacks.config.loading import load_stages
from stacks.config.stage_target import StageTarget
from stacks.project import ROOT
from stacks.stage import ServingStage
from stacks.stage_facts import write_facts
from tests.harness.assembly import empty_app
from tests.unit.loraserve.stubbed_cloud import Cloud

PROD = StageTarget(name="prod", account="333333333333", region="us-east-1")
BUCKET = "AWS::S3::Bucket"


def returned(template: Any) -> Any:
    """Return a template as GetTemplate does."""
    return json.loads(as_returned(json.dumps(template, ensure_ascii=False)))


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assembly of the shipped stage prod alone, in its account."""
    folder = tmp_path_factory.mktemp("assembly")
    app = empty_app(folder)
    [loaded] = load_stages(ROOT / "stages", "prod")
    config = loaded.config.model_copy(update={"account": PROD.account})
    stage = ServingStage(app, loaded.id, stage=loaded.model_copy(update={"config": config}))
    app.synth()
    write_facts({stage.node.id: stage.facts()}, folder)
    return folder


@pytest.fixture(scope="module")
def head(assembly: Path) -> Stage:
    """The stage as a release has it."""
    return read_assembly(assembly).stages["Prod"]


@pytest.fixture(scope="module")
def stacks(head: Stage) -> list[DeployedStack]:
    """Its stacks, as CloudFormation returns them once they are deployed."""
    return [
        DeployedStack(
            name=stack.name,
            template=returned(stack.template),
            termination_protection=stack.termination_protection,
            tags=stack.tags,
        )
        for stack in head.stacks.values()
    ]


def released(assembly: Path) -> Side:
    return Side(name="release", commit="", assembly=assembly, only="Prod")


def changed(stacks: list[DeployedStack], kind: str, **properties: Any) -> list[DeployedStack]:
    """Return the stacks with other properties of the resources of a type."""
    found = json.loads(json.dumps([dict(stack.template) for stack in stacks]))
    for template in found:
        for resource in template["Resources"].values():
            if resource["Type"] == kind:
                resource.setdefault("Properties", {}).update(properties)
    return [
        DeployedStack(name=one.name, template=template, termination_protection=True, tags=one.tags)
        for one, template in zip(stacks, found, strict=True)
    ]


def test_what_a_release_has_deployed_differs_in_nothing(
    assembly: Path, head: Stage, stacks: list[DeployedStack]
) -> None:
    with deployed_side(PROD, stacks, None, release=head) as base:
        document = reviewed(base, released(assembly), ())
        again = list(check_way_back(base, released(assembly), "2026-11-20-0000000"))
    assert document.findings == () and document.exit_code == 0
    assert [finding.state for finding in (*check_review(document), *again)] == [State.OK, State.OK]
    assert templates_sha256(stacks)["Serving"] == template_sha256(head.stacks["Serving"].template)


def test_a_change_that_loses_data_must_be_accepted(
    assembly: Path, head: Stage, stacks: list[DeployedStack], tmp_path: Path
) -> None:
    before = changed(stacks, BUCKET, BucketName="another-bucket")
    write_assembly(tmp_path / "assembly", PROD, before, head)
    base = Side(name="deployed", commit="", assembly=tmp_path / "assembly", only="Prod")
    document = reviewed(base, released(assembly), ())
    blocks = [finding for finding in check_review(document) if finding.state is State.PROBLEM]
    assert document.exit_code == 3 and blocks
    categories = {each.category for each in document.findings if each.level == "BLOCK"}
    assert all(any(f"--accept {name}" in each.remedy for name in categories) for each in blocks)
    accepted = reviewed(base, released(assembly), tuple(categories))
    assert accepted.exit_code == 0
    assert {each.state for each in check_review(accepted)} == {State.WARNING}
    assert set(accepted_rules(accepted)) >= {each.rule for each in document.findings if each.level == "BLOCK"}
    # It cannot be undone either: the bucket would be another one again.
    [back] = check_way_back(base, released(assembly), "2026-11-20-0000000")
    assert back.state is State.WARNING
    assert back.found.startswith("after this there is no way back to release 2026-11-20-0000000: ")


def test_without_a_release_there_is_no_way_back(assembly: Path) -> None:
    [finding] = check_way_back(released(assembly), released(assembly), None)
    assert finding.state is State.WARNING and "is no release" in finding.found


def test_before_the_first_deployment_everything_is_new(assembly: Path, head: Stage) -> None:
    with deployed_side(PROD, [], None, release=head) as base:
        assert read_assembly(base.assembly).stages == {}
        document = reviewed(base, released(assembly), ())
    assert [stage.name for stage in document.stages] == ["prod"]


def test_characters_are_put_back_where_the_text_is_the_same() -> None:
    deployed = {"a": "5 ? 6", "b": ["?", "x"], "c": "?", "d": 1, "e": "gone?"}
    new = {"a": "5 × 6", "b": ["é", "y"], "c": "other", "d": 2}
    assert with_characters(deployed, new) == {"a": "5 × 6", "b": ["é", "x"], "c": "?", "d": 1, "e": "gone?"}


def test_stacks_without_resources_are_not_deployed() -> None:
    cloud = Cloud()
    now = datetime.now(UTC)
    states = {"Serving": "UPDATE_COMPLETE", "Scaling": "ROLLBACK_COMPLETE", "Network": "REVIEW_IN_PROGRESS"}
    described = [
        {
            "StackName": PROD.stack_name(name),
            "CreationTime": now,
            "StackStatus": status,
            "EnableTerminationProtection": True,
            "Tags": [{"Key": "team", "Value": "ml"}],
        }
        for name, status in states.items()
    ]
    cloud.answers("cloudformation", "describe_stacks", {"Stacks": described})
    cloud.answers("cloudformation", "get_template", {"TemplateBody": '{"Resources": {}}'})
    with cloud.stubbed():
        [stack] = deployed_stacks(PROD, cloud)
    assert (stack.name, stack.template, stack.tags) == ("Serving", {"Resources": {}}, {"team": "ml"})
    assert stack.termination_protection
