"""The rules about the bill: thresholds, unknown prices, and one table for both sides."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loraserve.review.assembly import Stage, read_assembly
from loraserve.review.comparison import StageComparison
from loraserve.review.costs import estimate_of, printed_cost
from loraserve.review.difference import Kind
from loraserve.review.finding import ReviewFinding
from loraserve.review.rules.cost import cost
from tests.unit.loraserve.review.edited_stages import Edit, compared, edited, properties, verdicts

Json = dict[str, Any]

pytestmark = pytest.mark.usefixtures("templates")


def fleet(**changes: Any) -> Edit:
    def edit(templates: Json, facts: Json) -> None:
        facts["fleet"].update(changes)

    return edit


def billed(**changes: Any) -> Edit:
    def edit(templates: Json, facts: Json) -> None:
        facts["billed"].update(changes)

    return edit


def unpriced(templates: Json, facts: Json) -> None:
    facts["fleet"]["instance_type"] = "ml.p5.48xlarge"
    variant = properties(templates, "AWS::SageMaker::EndpointConfig")["ProductionVariants"][0]
    variant["InstanceType"] = "ml.p5.48xlarge"


def printed(text: str) -> Edit:
    def edit(templates: Json, facts: Json) -> None:
        templates["Serving"]["Outputs"]["MonthlyCost"]["Value"] = text

    return edit


def more_instances(templates: Json, facts: Json) -> None:
    properties(templates, "AWS::ApplicationAutoScaling::ScalableTarget")["MaxCapacity"] = 8
    printed("about USD per month: more")(templates, facts)


#: Edit of Prod, 2 to 4 instances of 1.408 USD an hour, 4,130.71 USD a month at most.
CASES: dict[str, tuple[Edit, str, str, str]] = {
    "twice as many": (fleet(maximum=8), "cost.up", "REVIEW", "cost: at most 8,242 USD a month instead of 4,131 (+4,111)"),
    "one more, under 1,028 USD but over a tenth": (fleet(maximum=5), "cost.up", "REVIEW", "cost: at most 5,159 USD a month instead of 4,131 (+1,028)"),
    "a type that costs 7.6 % more": (fleet(instance_type="ml.g5.2xlarge"), "cost.up", "ROUTINE", "cost: at most 4,443 USD a month instead of 4,131 (+312)"),
    "1,000 USD of many": (fleet(instance_type="ml.g5.12xlarge"), "cost.up", "REVIEW", "cost: at most 20,722 USD a month instead of 4,131 (+16,591)"),
    "a higher minimum": (fleet(minimum=3, expected=3), "cost.up", "REVIEW", "cost: at least 3,103 USD a month instead of 2,075 (+1,028)"),
    "a higher minimum, a lower maximum": (fleet(minimum=3, expected=3, maximum=3), "cost.up", "REVIEW", "cost: at least 3,103 USD a month instead of 2,075 (+1,028)"),
    "the expectation alone": (fleet(expected=3), "cost.up", "ROUTINE", "cost: expected 3,103 USD a month instead of 2,075 (+1,028)"),
    "fewer": (fleet(maximum=3), "cost.down", "ROUTINE", "cost: at most 3,103 USD a month instead of 4,131 (-1,028)"),
    "one alarm": (billed(alarms=19), "cost.up", "ROUTINE", "cost: at most 4,130.81 USD a month instead of 4,130.71 (+0.10)"),
    "no dashboard": (billed(dashboards=0), "cost.down", "ROUTINE", "cost: at most 4,127.71 USD a month instead of 4,130.71 (-3.00)"),
    "a NAT gateway": (billed(nat_gateways=1, public_addresses=1), "cost.up", "ROUTINE", "cost: at most 4,167 USD a month instead of 4,131 (+36)"),
    "many metrics": (billed(custom_metrics=1500), "cost.up", "REVIEW", "cost: at most 4,569 USD a month instead of 4,131 (+439)"),
    "updates": (billed(rollout_instances=4), "cost.up", "ROUTINE", "cost: each hour of an update 5.63 USD instead of 2.82 (+2.82)"),
    "a region of equal prices": (billed(region="us-west-2"), "cost.equal", "ROUTINE", "cost: at most 4,131 USD a month, as before"),
    "no price of the type": (unpriced, "cost.unknown", "REVIEW", "cost: not known on the head, no price of ml.p5.48xlarge in us-east-1"),
    "no price in the region": (billed(region="eu-west-1"), "cost.unknown", "ROUTINE", "cost: not known on the head, no price of ml.g5.xlarge in eu-west-1"),
}  # fmt: skip


@pytest.fixture(scope="module")
def prod(assembly: Path, templates: Any) -> Stage:
    return read_assembly(assembly).stages["Prod"]


@pytest.fixture(scope="module")
def changes(prod: Stage) -> dict[str, StageComparison]:
    return compared(prod, {name: edit for name, (edit, _, _, _) in CASES.items()})


def only(change: StageComparison) -> ReviewFinding:
    (found,) = cost(change)
    verdicts([found])
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_change_costs(name: str, changes: dict[str, StageComparison]) -> None:
    _, rule, level, title = CASES[name]
    found = only(changes[name])
    assert (found.rule, found.level.name, found.title) == (rule, level, title)
    facts = {each for each in changes[name].differences if each.kind is Kind.FACT}
    assert facts == set(found.differences)


def test_both_sides_are_priced_in_their_region(prod: Stage, changes: dict[str, StageComparison]) -> None:
    base, head = only(changes["no price in the region"]).details
    assert base == f"base: {printed_cost(prod)}"
    assert head == "head: not known, no price of ml.g5.xlarge in eu-west-1"


def test_every_stages_own_line_is_the_estimate_of_its_facts(assembly: Path) -> None:
    for stage in read_assembly(assembly).stages.values():
        estimate = estimate_of(stage.facts)
        assert estimate is not None
        assert printed_cost(stage) == estimate.one_line()


def test_other_prices_of_the_base_are_no_change_of_cost(prod: Stage) -> None:
    earlier = edited(prod, printed("about USD per month: 1,000 at 2 instances; on-demand prices of 2025-01"))
    own = printed_cost(prod)
    assert own is not None
    change = compared(earlier, {"head": printed(own)})["head"]
    found = only(change)
    assert (found.rule, found.level.name) == ("cost.prices", "ROUTINE")
    assert set(found.differences) == set(change.differences)


def test_without_facts_on_the_base_the_cost_is_not_known(prod: Stage) -> None:
    found = compared(
        prod, {"same": lambda *_: None, "words": printed("cheap"), "more": more_instances}, base_facts=False
    )
    assert list(cost(found["same"])) == []
    words, more = only(found["words"]), only(found["more"])
    assert (words.rule, words.level.name) == ("cost.unknown", "ROUTINE")
    assert (more.rule, more.level.name, more.title) == (
        "cost.unknown",
        "REVIEW",
        "cost: not known on the base, without a facts file",
    )
    assert set(more.differences) == {each for each in found["more"].differences if each.kind is Kind.SECTION}
    assert more.details[0].startswith("base: not known, without a facts file; printed by its synth: about")


def test_without_facts_on_either_side_it_is_known_on_none(prod: Stage) -> None:
    bare = replace(prod, facts=None)
    found = only(compared(bare, {"more": more_instances})["more"])
    assert found.title == "cost: not known on the base and on the head, without a facts file"


def test_without_a_change_there_is_no_finding(prod: Stage) -> None:
    assert list(cost(compared(prod, {"same": lambda *_: None})["same"])) == []


def test_another_wording_of_the_output_is_a_change_of_form(prod: Stage) -> None:
    change = compared(prod, {"words": printed("about 1 USD per month")})["words"]
    found = only(change)
    assert (found.rule, found.level.name) == ("form.cost", "NOISE")
    assert set(found.differences) == set(change.differences)
