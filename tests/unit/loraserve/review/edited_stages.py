"""A synthesized stage, and edited copies of it: many comparisons with one call of the diff library."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from loraserve.review.assembly import CloudAssembly, Stage
from loraserve.review.comparison import StageComparison, compare
from loraserve.review.finding import MAX_TITLE, ReviewFinding
from stacks.facts import StageFacts

#: Changes templates, by stack, and facts in place.
Edit = Callable[[dict[str, Any], dict[str, Any]], None]


def compared(
    base: Stage, edits: Mapping[str, Edit], *, base_facts: bool = True
) -> dict[str, StageComparison]:
    """Compare the stage with each edited copy of it, by the edit's name."""
    before = base if base_facts else replace(base, facts=None)
    found = compare(
        CloudAssembly(stages=dict.fromkeys(edits, before), prices_date=None),
        CloudAssembly(stages={name: edited(base, edit) for name, edit in edits.items()}, prices_date=None),
    )
    return {each.id: each for each in found}


def edited(base: Stage, edit: Edit) -> Stage:
    """Make an edited copy."""
    templates = {name: copy.deepcopy(dict(stack.template)) for name, stack in base.stacks.items()}
    facts = {} if base.facts is None else base.facts.model_dump(mode="json")
    edit(templates, facts)
    return replace(
        base,
        stacks={
            name: replace(stack, template=json.loads(json.dumps(templates[name])))
            for name, stack in base.stacks.items()
        },
        facts=None if base.facts is None else StageFacts.model_validate(facts),
    )


def properties(templates: dict[str, Any], resource_type: str) -> dict[str, Any]:
    """Return the properties of the only resource of a type."""
    (found,) = (
        resource["Properties"]
        for template in templates.values()
        for resource in template["Resources"].values()
        if resource["Type"] == resource_type
    )
    properties: dict[str, Any] = found
    return properties


def verdicts(found: list[ReviewFinding]) -> dict[str, str]:
    """Return level by rule, and check what is asked of every finding."""
    for each in found:
        assert len(each.title) <= MAX_TITLE, each.title
    return {each.rule: each.level.name for each in found}
