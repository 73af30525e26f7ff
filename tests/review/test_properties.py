"""Properties of every comparison: equal sides give nothing, random ones are complete, and no level ever falls."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from loraserve.review.assembly import CloudAssembly, Stack, Stage
from loraserve.review.comparison import StageComparison, equal
from loraserve.review.difference import Difference, Kind
from loraserve.review.engine import findings
from loraserve.review.finding import Level
from stacks.facts import StageFacts
from tests.review.changes import Change, corpus
from tests.review.conftest import Sides
from tests.review.synthesis import Workshop, compared

#: Pairs of an example, which the diff library gets in one call.
PAIRS = 15
#: Changes of code alone, of the same stage.
CODE = [
    change
    for change in corpus()
    if change.head.code and not (change.both or change.both_adapters or change.head.stage or change.base.code)
    and change.of == "prod"
]  # fmt: skip
_TEXT = st.sampled_from(["", "*", "x", "arn:aws:s3:::acme/*", "0.0.0.0/0", "Retain", "17"])
_VALUES = st.recursive(
    _TEXT | st.integers(-1, 9) | st.booleans() | st.floats(0, 2, width=16),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["Ref", "Fn::GetAtt", "Action", "a"]), inner, max_size=2)
    ),
    max_leaves=4,
)
_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "account": st.sampled_from(["111122223333"]),
        "region": st.sampled_from(["eu-west-1"]),
        "stack_name": _TEXT,
        "termination_protection": st.booleans(),
        "tags": st.dictionaries(_TEXT, _TEXT, max_size=2),
        "dependencies": st.just(("Other",)),
    },
)
_FACTS = st.fixed_dictionaries(
    {},
    optional={
        "engine": _TEXT,
        "network": st.sampled_from(["vpc", "private", "public"]),
        "removable_share": st.floats(0, 1),
        "allow_unpinned_sources": st.booleans(),
        "warnings": st.lists(_TEXT, max_size=2),
        "adapters": st.lists(
            st.fixed_dictionaries(
                {
                    "names": st.lists(_TEXT, min_size=1, max_size=2),
                    "source": _TEXT,
                    "sha256": st.none() | _TEXT,
                    "labels": st.dictionaries(_TEXT, _TEXT, max_size=1),
                }
            ),
            max_size=3,
        ),
    },
)  # fmt: skip
#: Without shrinking: an example is many pairs, and each trial starts the diff library.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
_CHECKS = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large)
#: A path is drawn as numbers, each taken modulo the number of entries at its level.
_EDITS = st.tuples(st.lists(st.integers(0, 10_000), min_size=3, max_size=9), st.none() | _VALUES)


@pytest.fixture(scope="module")
def prod(workshop: Workshop) -> Stage:
    change = next(change for change in CODE)
    assembly, _ = workshop.sides(change)
    return assembly.stages["Prod"]


def test_equal_sides_have_no_finding(sides: Mapping[str, Sides]) -> None:
    pairs = [(side, copy.deepcopy(side)) for pair in list(sides.values())[::10] for side in pair]
    for stages in compared(pairs):
        assert all(stage.differences == () and findings(stage) == [] for stage in stages)


@settings(max_examples=8, phases=_PHASES, suppress_health_check=_CHECKS)
@given(
    pairs=st.lists(
        st.tuples(st.lists(_EDITS, min_size=1, max_size=4), _SETTINGS, _FACTS), min_size=PAIRS, max_size=PAIRS
    )
)
def test_random_pairs_are_complete(prod: Stage, pairs: Sequence[tuple[Any, Any, Any]]) -> None:
    changed = [_changed(prod, *pair) for pair in pairs]
    for stage, [change] in zip(
        changed, compared([(_assembly(prod), _assembly(each)) for each in changed]), strict=True
    ):
        found = findings(change)
        assert [each.details for each in found if each.rule == "unknown.rule"] == []
        claimed = {difference for finding in found for difference in finding.differences}
        assert set(change.differences) <= claimed
        # Nothing differs without a difference: applied to one side, they give the other.
        assert _written(_applied(prod, change.differences)) == _written(stage)


@settings(max_examples=3, phases=_PHASES, suppress_health_check=_CHECKS)
@given(
    pairs=st.lists(st.tuples(st.sampled_from(CODE), st.sampled_from(CODE)), min_size=PAIRS, max_size=PAIRS)
)
def test_no_level_falls_beside_another_change(
    workshop: Workshop, pairs: Sequence[tuple[Change, Change]]
) -> None:
    both = [
        (first, union) for first, second in pairs if (union := _union(first, second, workshop)) is not None
    ]
    alone = compared(workshop.sides(first) for first, _ in both)
    together = compared(workshop.sides(union) for _, union in both)
    for [first], [union] in zip(alone, together, strict=True):
        levels, now = _levels(first), _levels(union)
        values = {each: each.after for each in union.differences}
        for difference, level in levels.items():
            if difference in values and equal(values[difference], difference.after):
                assert now[difference] >= level, (difference.subject, difference.name, level, now[difference])


def _union(first: Change, second: Change, workshop: Workshop) -> Change | None:
    """Return both changes as one; None if one of them removes what the other edits."""
    union = first.model_copy(
        update={"head": first.head.model_copy(update={"code": [*first.head.code, *second.head.code]})}
    )
    try:
        workshop.sides(union)
    except (KeyError, IndexError, ValueError, AttributeError):
        return None
    return union


def _levels(change: StageComparison) -> dict[Difference, Level]:
    """Return the gravest level of each difference, of those that a person decides."""
    levels: dict[Difference, Level] = {}
    for finding in findings(change):
        # A new fleet is not for nothing beside another cause of it.
        if finding.rule != "rollover.for-nothing":
            for difference in finding.differences:
                levels[difference] = max(finding.level, levels.get(difference, Level.NOISE))
    return levels


def _assembly(stage: Stage) -> CloudAssembly:
    return CloudAssembly(stages={stage.id: stage}, prices_date=None)


def _changed(
    stage: Stage, edits: Sequence[tuple[list[int], Any]], setting: Mapping[str, Any], facts: Mapping[str, Any]
) -> Stage:
    stacks = dict(stage.stacks)
    for path, value in edits:
        name = list(stacks)[path[0] % len(stacks)]
        template = copy.deepcopy(dict(stacks[name].template))
        _edit(template, path[1:], value)
        stacks[name] = replace(stacks[name], template=template)
    last = list(stacks)[-1]
    stacks[last] = replace(stacks[last], **setting)
    assert stage.facts is not None
    dumped = stage.facts.model_dump(mode="json") | dict(facts)
    return replace(stage, stacks=stacks, facts=StageFacts.model_validate(dumped))


def _edit(template: dict[str, Any], path: Sequence[int], value: Any) -> None:
    """Set or remove (None) a value; a resource keeps its type and its object of properties."""
    section = list(template)[path[0] % len(template)]
    if section != "Resources":
        content = template[section]
        if isinstance(content, dict):
            keys = list(content)
            content[keys[path[1] % len(keys)] if keys else "New"] = {"Value": "x" if value is None else value}
        elif value is not None:
            template[section] = value
        return
    resources = template["Resources"]
    key = list(resources)[path[1] % len(resources)]
    parent, last = resources, key
    for step in path[2:]:
        inner = parent[last]
        keys = (
            [each for each in inner if each != "Type"]
            if isinstance(inner, dict)
            else range(len(inner))
            if isinstance(inner, list)
            else ()
        )
        if not keys:
            break
        parent, last = inner, list(keys)[step % len(keys)]
    if value is None:
        del parent[last]
    elif parent is resources or last == "Properties":
        parent.pop(last)
    else:
        parent[last] = value


def _applied(stage: Stage, differences: Sequence[Difference]) -> Stage:
    stacks = {name: copy.deepcopy(dict(stack.template)) for name, stack in stage.stacks.items()}
    settings_of: dict[str, dict[str, Any]] = {name: {} for name in stacks}
    assert stage.facts is not None
    facts = stage.facts.model_dump(mode="json")
    for each in differences:
        if each.kind is Kind.FACT:
            *above, last = each.subject.split(".")
            parent = facts
            for part in above:
                parent = parent[part]
            _put(parent, last, each.after)
            continue
        template = stacks[each.stack]
        match each.kind:
            case Kind.DEPLOYMENT:
                settings_of[each.stack][each.name] = each.after
            case Kind.SECTION:
                section, _, key = each.subject.partition("/")
                if key:
                    _put(template.setdefault(section, {}), key, each.after)
                else:
                    _put(template, section, each.after)
            case Kind.RESOURCE:
                _put(template["Resources"], each.subject, each.after)
            case Kind.PROPERTY:
                _put(template["Resources"][each.subject].setdefault("Properties", {}), each.name, each.after)
            case Kind.ATTRIBUTE:
                _put(template["Resources"][each.subject], each.name, each.after)
    changed = {
        name: _with_settings(stack, stacks[name], settings_of[name]) for name, stack in stage.stacks.items()
    }
    return replace(stage, stacks=changed, facts=StageFacts.model_validate(facts))


def _put(parent: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        parent.pop(key, None)
    else:
        parent[key] = value


def _with_settings(stack: Stack, template: dict[str, Any], settings: Mapping[str, Any]) -> Stack:
    names = {"stackName": "stack_name", "terminationProtection": "termination_protection"}
    return replace(
        stack, template=template, **{names.get(name, name): value for name, value in settings.items()}
    )


def _written(stage: Stage) -> str:
    """Write what is compared of a stage; an empty object is the same as none, in sections and properties."""
    stacks = {
        name: [
            {key: value for key, value in stack.template.items() if key != "Resources" and value != {}},
            {
                key: {each: value for each, value in resource.items() if (each, value) != ("Properties", {})}
                for key, resource in stack.resources.items()
            },
            [stack.stack_name, stack.account, stack.region, stack.termination_protection],
            [dict(stack.tags), list(stack.dependencies)],
        ]
        for name, stack in stage.stacks.items()
    }
    facts = None if stage.facts is None else stage.facts.model_dump(mode="json")
    return json.dumps([stacks, facts], sort_keys=True)
