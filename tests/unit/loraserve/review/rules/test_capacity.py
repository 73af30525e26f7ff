"""The rules about the number of instances, on edited copies of Prod."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loraserve.review.assembly import CloudAssembly, Stage, read_assembly
from loraserve.review.comparison import StageComparison, compare
from loraserve.review.difference import Difference, Kind
from loraserve.review.finding import ReviewFinding
from loraserve.review.rules.capacity import capacity
from loraserve.review.rules.capacity_form import capacity_form
from loraserve.review.rules.capacity_policy import capacity_policy
from loraserve.review.rules.capacity_quota import capacity_quota
from loraserve.review.rules.capacity_switch import capacity_switch
from loraserve.review.rules.cost import cost
from tests.unit.loraserve.review.edited_stages import Edit, compared, edited, properties, verdicts

RULES = (capacity, capacity_form, capacity_policy, capacity_quota, capacity_switch, cost)
TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
CONFIG = "AWS::SageMaker::EndpointConfig"
Templates = dict[str, Any]

pytestmark = pytest.mark.usefixtures("templates")


def schedule(name: str, minimum: int, maximum: int, cron: str = "cron(0 7 ? * MON-FRI *)") -> dict[str, Any]:
    return {
        "ScheduledActionName": name,
        "Schedule": cron,
        "Timezone": "UTC",
        "ScalableTargetAction": {"MinCapacity": minimum, "MaxCapacity": maximum},
    }


def target(**changes: Any) -> Edit:
    def edit(templates: Templates, facts: Templates) -> None:
        properties(templates, TARGET).update(changes)

    return edit


def tracking(**changes: Any) -> Edit:
    def edit(templates: Templates, facts: Templates) -> None:
        properties(templates, POLICY)["TargetTrackingScalingPolicyConfiguration"].update(changes)

    return edit


def unscaled(templates: Templates, facts: Templates) -> None:
    resources = templates["Scaling"]["Resources"]
    del resources["Target"], resources["Policy"]
    resources["Off"] = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    facts["fleet"].update(minimum=2, maximum=2, autoscaled=False, quota=3)


def quota(templates: Templates, facts: Templates) -> None:
    facts["fleet"].update(maximum=8, quota=12)
    output = templates["Serving"]["Outputs"]["InstanceQuota"]
    output["Value"] = output["Value"].replace("of 4 ×", "of 8 ×").replace("quota of 6", "quota of 12")


def another_type(templates: Templates, facts: Templates) -> None:
    facts["fleet"]["instance_type"] = "ml.g5.2xlarge"


def reworded(templates: Templates, facts: Templates) -> None:
    templates["Serving"]["Outputs"]["InstanceQuota"]["Value"] += "."


def no_quota(templates: Templates, facts: Templates) -> None:
    templates["Serving"]["Outputs"]["InstanceQuota"]["Value"] = "many"


def without_policy(templates: Templates, facts: Templates) -> None:
    del templates["Scaling"]["Resources"]["Policy"]


def renamed(templates: Templates, facts: Templates) -> None:
    resources = templates["Scaling"]["Resources"]
    resources["Other"] = resources.pop("Target")


def started(count: int) -> Edit:
    def edit(templates: Templates, facts: Templates) -> None:
        facts["fleet"]["initial"] = count

    return edit


def alarm_text(old: str, new: str, maximum: int = 8) -> Edit:
    def edit(templates: Templates, facts: Templates) -> None:
        properties(templates, TARGET)["MaxCapacity"] = maximum
        alarm = templates["Observability"]["Resources"]["SaturationAlarm"]["Properties"]
        assert old in alarm["AlarmDescription"]
        alarm["AlarmDescription"] = alarm["AlarmDescription"].replace(old, new)

    return edit


#: Edit of Prod, which has 2 to 4 instances; rules with levels, and the title of the gravest.
CASES: dict[str, tuple[Edit, dict[str, str], str]] = {
    "maximum falls": (target(MaxCapacity=3), {"capacity.fewer": "REVIEW"}, "2 to 3 instances instead of 2 to 4"),
    "minimum falls": (target(MinCapacity=1), {"capacity.fewer": "REVIEW"}, "1 to 4 instances instead of 2 to 4"),
    "both ways": (target(MinCapacity=3, MaxCapacity=3), {"capacity.fewer": "REVIEW", "capacity.more": "ROUTINE"}, "3 instances instead of 2 to 4"),
    "maximum rises": (target(MaxCapacity=8), {"capacity.more": "ROUTINE"}, "2 to 8 instances instead of 2 to 4"),
    "schedule below the limits": (
        target(ScheduledActions=[schedule("nights", 1, 4)]), {"capacity.fewer": "REVIEW"}, "schedule `nights`: 1 to 4 instances instead of 2 to 4",
    ),
    "schedule that caps": (
        target(ScheduledActions=[schedule("nights", 2, 2)]), {"capacity.fewer": "REVIEW"}, "schedule `nights`: 2 instances instead of 2 to 4",
    ),
    "schedule above the limits": (target(ScheduledActions=[schedule("days", 4, 8)]), {"capacity.more": "ROUTINE"}, "schedule `days`: 4 to 8 instances instead of 2 to 4"),
    "schedule of equal limits": (target(ScheduledActions=[schedule("days", 2, 4)]), {"capacity.policy": "ROUTINE"}, "the schedules of autoscaling change, their limits stay"),
    "two schedules": (
        target(ScheduledActions=[schedule("nights", 1, 2), schedule("weekend", 1, 1)]), {"capacity.fewer": "REVIEW"}, "schedule `nights`: 1 to 2 instances instead of 2 to 4, and 1 more",
    ),
    "suspended": (target(SuspendedState={"DynamicScalingInSuspended": False, "DynamicScalingOutSuspended": True}), {"capacity.unscaled": "REVIEW"}, "autoscaling is suspended: DynamicScalingOutSuspended"),
    "not suspended": (target(SuspendedState={"DynamicScalingOutSuspended": False}), {"capacity.scaled": "ROUTINE"}, "autoscaling resumes"),
    "another variant": (target(ResourceId="endpoint/other/variant/AllTraffic"), {"capacity.unscaled": "REVIEW"}, "autoscaling leaves the variant that it scales, for another one"),
    "off": (unscaled, {"capacity.unscaled": "REVIEW", "form.placeholder": "NOISE", "capacity.quota": "ROUTINE", "cost.down": "ROUTINE"}, "autoscaling ends: always 2 instances"),
    "policy lost": (without_policy, {"capacity.unscaled": "REVIEW"}, "autoscaling loses a target or a policy"),
    "target of another logical id": (renamed, {"capacity.unscaled": "REVIEW", "capacity.scaled": "ROUTINE"}, "autoscaling loses a target or a policy"),
    "aim": (tracking(TargetValue=7), {"capacity.policy": "ROUTINE"}, "autoscaling.target is 7 instead of 31"),
    "pauses": (tracking(ScaleInCooldown=60, ScaleOutCooldown=60), {"capacity.policy": "ROUTINE"}, "autoscaling: scale_out_cooldown_seconds, scale_in_cooldown_seconds change"),
    "quota": (quota, {"capacity.quota": "REVIEW", "cost.up": "REVIEW"}, "an update needs a quota of 12 ml.g5.xlarge instead of 6"),
    "instance type": (another_type, {"capacity.quota": "REVIEW", "cost.up": "ROUTINE"}, "an update needs a quota of 6 ml.g5.2xlarge instead of 6 ml.g5.xlarge"),
    "count at the start": (started(1), {"capacity.initial": "ROUTINE"}, "a new endpoint starts with 1 instance instead of 2"),
    "words of the quota": (reworded, {"form.quota": "NOISE"}, "the output InstanceQuota is worded in another way: the quota of 6 ml.g5.xlarge stays"),
    "alarm repeats the limit": (alarm_text("limit of 4", "limit of 8"), {"capacity.more": "ROUTINE", "form.limit": "NOISE"}, "2 to 8 instances instead of 2 to 4"),
    "alarm says something else": (alarm_text("20 minutes", "40 minutes"), {"capacity.more": "ROUTINE"}, "2 to 8 instances instead of 2 to 4"),
    "alarm says more": (alarm_text("limit of 4", "limit of 8 or so"), {"capacity.more": "ROUTINE"}, "2 to 8 instances instead of 2 to 4"),
}  # fmt: skip

#: Edits that no rule of capacity judges: they stay unknown.
UNJUDGED: dict[str, Edit] = {
    "a limit that is no number": target(MaxCapacity={"Ref": "Most"}),
    "a schedule that is no number": target(
        ScheduledActions=[schedule("days", 2, 4) | {"ScalableTargetAction": {"MaxCapacity": {"Ref": "Most"}}}]
    ),
    "the role": target(RoleARN="arn:aws:iam::123456789012:role/other"),
    "the dimension": target(ScalableDimension="sagemaker:variant:DesiredProvisionedConcurrency"),
    "no scaling in": tracking(DisableScaleIn=True),
    "a metric of another kind": tracking(CustomizedMetricSpecification={"MetricName": "Other"}),
}


@pytest.fixture(scope="module")
def prod(assembly: Path, templates: Any) -> Stage:
    return read_assembly(assembly).stages["Prod"]


@pytest.fixture(scope="module")
def changes(prod: Stage) -> dict[str, StageComparison]:
    return compared(prod, {name: edit for name, (edit, _, _) in CASES.items()} | UNJUDGED)


def findings(change: StageComparison) -> list[ReviewFinding]:
    return sorted((each for rule in RULES for each in rule(change)), key=lambda each: -each.level)


def unclaimed(change: StageComparison) -> list[Difference]:
    claimed = {difference for each in findings(change) for difference in each.differences}
    return [each for each in change.differences if each not in claimed]


@pytest.mark.parametrize("name", CASES)
def test_a_change_has_these_findings(name: str, changes: dict[str, StageComparison]) -> None:
    _, expected, title = CASES[name]
    found = findings(changes[name])
    assert verdicts(found) == expected
    assert found[0].title == title


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("alarm says")])
def test_every_difference_of_these_changes_is_claimed(name: str, changes: dict[str, StageComparison]) -> None:
    assert not unclaimed(changes[name])


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("alarm says")])
def test_a_text_that_says_more_than_a_limit_is_left_to_the_rules_of_alarms(
    name: str, changes: dict[str, StageComparison]
) -> None:
    assert [each.name for each in unclaimed(changes[name])] == ["AlarmDescription"]


@pytest.mark.parametrize("name", UNJUDGED)
def test_what_is_not_judged_stays_unclaimed(name: str, changes: dict[str, StageComparison]) -> None:
    assert findings(changes[name]) == []
    assert unclaimed(changes[name])


def test_a_constant_number_of_instances_is_compared(prod: Stage) -> None:
    found = compared(
        edited(prod, fixed(3)), {"fewer": fixed(2), "more": fixed(4), "scaled": scaled_again(prod)}
    )
    assert verdicts(findings(found["fewer"]))["capacity.fewer"] == "REVIEW"
    assert verdicts(findings(found["more"]))["capacity.more"] == "ROUTINE"
    on = verdicts(findings(found["scaled"]))
    assert on["capacity.scaled"] == "ROUTINE"
    assert on["capacity.fewer"] == "REVIEW"
    assert on["form.placeholder"] == "NOISE"
    # The endpoint config has rules by itself.
    for change in found.values():
        assert {each.name for each in unclaimed(change)} <= {"ProductionVariants"}


def fixed(count: int) -> Edit:
    def edit(templates: Templates, facts: Templates) -> None:
        if "Target" in templates["Scaling"]["Resources"]:
            unscaled(templates, facts)
        properties(templates, CONFIG)["ProductionVariants"][0]["InitialInstanceCount"] = count
        facts["fleet"].update(initial=count, minimum=count, expected=count, maximum=count, quota=2 * count)

    return edit


def scaled_again(prod: Stage) -> Edit:
    def edit(templates: Templates, facts: Templates) -> None:
        templates["Scaling"] = dict(prod.stacks["Scaling"].template)
        assert prod.facts is not None
        facts["fleet"] = prod.facts.fleet.model_dump()

    return edit


def test_without_facts_on_the_base_the_templates_are_compared(prod: Stage) -> None:
    edits = {name: CASES[name][0] for name in ("maximum falls", "schedule that caps", "off", "quota")}
    found = compared(prod, edits | {"words": no_quota}, base_facts=False)
    assert verdicts(findings(found["maximum falls"])) == {
        "capacity.fewer": "REVIEW",
        "cost.unknown": "REVIEW",
    }
    assert verdicts(findings(found["schedule that caps"]))["capacity.fewer"] == "REVIEW"
    assert verdicts(findings(found["off"]))["capacity.unscaled"] == "REVIEW"
    assert verdicts(findings(found["quota"])) == {"capacity.quota": "REVIEW"}
    # The head has facts with its quota, the base then only its output.
    assert verdicts(findings(found["words"])) == {"form.quota": "NOISE"}
    assert not any(each.kind is Kind.FACT for change in found.values() for each in change.differences)
    # Without a quota that can be read, a person looks at it.
    unreadable = edited(replace(prod, facts=None), no_quota)
    (finding,) = capacity_quota(replace(found["quota"], before=unreadable))
    assert (finding.rule, finding.level.name) == ("capacity.quota", "REVIEW")


def test_a_stage_or_stack_of_one_side_is_left_to_the_rules_of_identity(prod: Stage) -> None:
    scaling = replace(prod, stacks={"Scaling": prod.stacks["Scaling"]})
    pairs: list[tuple[dict[str, Stage], dict[str, Stage]]] = [
        ({}, {"Prod": scaling}),
        ({"Prod": scaling}, {}),
        ({"Prod": scaling}, {"Prod": replace(scaling, stacks={})}),
    ]
    sides = [[CloudAssembly(stages=stages, prices_date=None) for stages in pair] for pair in pairs]
    for before, after in sides:
        (change,) = compare(before, after)
        assert not [each for each in findings(change) if each.category == "capacity"]
