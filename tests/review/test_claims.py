"""Every (type, property) of the app's templates is known to a rule, or unknown by intent.

So is each attribute, each section's entry, each setting of a stack, each fact, and each type that is added or
removed. One of a kind is changed at a time. A rule that is missing for a new property fails here, not in the
first review that needs it.
"""

from __future__ import annotations

import copy
import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from loraserve.review.assembly import CloudAssembly, Stack, Stage
from stacks.facts import StageFacts
from tests.policy.matrix import OVERLAYS
from tests.review.synthesis import Workshop, reviewed

#: Kinds of changes that are left to the reviewer, as patterns, with the reasons.
UNKNOWN_BY_INTENT: dict[str, str] = yaml.safe_load(
    (Path(__file__).parent / "unknown_by_intent.yaml").read_text()
)
#: The stages, and what else has types and properties: overlays of `tests/policy/matrix.yaml`.
STAGES = ("dev", "local", "prod", "staging")
_OVERLAYS = (
    "boundary", "businesshours", "byinvocations", "canary", "capture", "fixedfleet", "hubmirror", "keyonnvme", "linear",
    "localmodel", "mail", "otherimage", "ownvpc", "private", "privategiven", "vllm", "zones",
)  # fmt: skip
_SETTINGS = {
    "account": "210987654321",
    "region": "eu-west-1",
    "stack_name": "Other",
    "tags": {"team": "search"},
    "dependencies": ("Other",),
}


class Sample(NamedTuple):
    """A change of one kind of thing."""

    kind: str
    before: Stage
    after: Stage


@pytest.fixture(scope="module")
def stages(workshop: Workshop) -> list[Stage]:
    overlays = [each for each in OVERLAYS if each.name in (*STAGES, *_OVERLAYS)]
    found = [workshop.synthesized(each.name, each.content(), None) for each in overlays]
    return [stage for assembly in found for stage in assembly.stages.values()]


@pytest.fixture(scope="module")
def samples(stages: list[Stage]) -> dict[str, Sample]:
    """One change of each kind."""
    found: dict[str, Sample] = {}
    for stage in stages:
        for sample in (*_resources(stage), *_sections(stage), *_settings(stage), *_facts(stage)):
            found.setdefault(sample.kind, sample)
    return found


@pytest.fixture(scope="module")
def unknown(samples: dict[str, Sample]) -> set[str]:
    pairs = [(_assembly(each.before), _assembly(each.after)) for each in samples.values()]
    found = zip(samples, reviewed(pairs), strict=True)
    return {kind for kind, findings in found if any(each.category == "unknown" for each in findings)}


def test_what_changes_is_known_to_a_rule(unknown: set[str]) -> None:
    missing = {kind for kind in unknown if not _by_intent(kind)}
    assert missing == set(), "add a rule, or a reason to unknown_by_intent.yaml"


def test_what_is_unknown_by_intent_is_unknown(unknown: set[str]) -> None:
    known = [pattern for pattern in UNKNOWN_BY_INTENT if not fnmatch.filter(unknown, pattern)]
    assert known == [], "a rule knows it, or no template has it: remove it from unknown_by_intent.yaml"


def test_there_are_many_kinds(samples: dict[str, Sample]) -> None:
    assert len(samples) > 300
    assert {kind.partition(" ")[0] for kind in samples} >= {"fact", "setting"}


def _by_intent(kind: str) -> bool:
    return any(fnmatch.fnmatchcase(kind, pattern) for pattern in UNKNOWN_BY_INTENT)


def _assembly(stage: Stage) -> CloudAssembly:
    return CloudAssembly(stages={stage.id: stage}, prices_date=None)


def _resources(stage: Stage) -> Iterator[Sample]:
    for stack in stage.stacks.values():
        for key, resource in stack.resources.items():
            kind = resource["Type"]
            without = {name: each for name, each in stack.resources.items() if name != key}
            yield Sample(f"{kind} removed", stage, _with(stage, stack, Resources=without))
            yield Sample(f"{kind} added", _with(stage, stack, Resources=without), stage)
            for name, value in resource.get("Properties", {}).items():
                changed = {**resource, "Properties": {**resource["Properties"], name: other(value)}}
                yield Sample(f"{kind}.{name}", stage, _with_resource(stage, stack, key, changed))
            for name in resource.keys() - {"Type", "Properties"}:
                changed = {**resource, name: _other_attribute(resource[name])}
                yield Sample(f"{kind}@{name}", stage, _with_resource(stage, stack, key, changed))


def _sections(stage: Stage) -> Iterator[Sample]:
    for stack in stage.stacks.values():
        for section, value in stack.template.items():
            if section == "Resources":
                continue
            for key in value if isinstance(value, dict) else ():
                what = "export" if "Export" in value[key] else key
                changed = {**value, key: other(value[key])}
                yield Sample(f"{section}/{what}", stage, _with(stage, stack, **{section: changed}))
            if not isinstance(value, dict):
                yield Sample(section, stage, _with(stage, stack, **{section: other(value)}))


def _settings(stage: Stage) -> Iterator[Sample]:
    for stack in stage.stacks.values():
        settings = {**_SETTINGS, "termination_protection": not stack.termination_protection}
        for name, value in settings.items():
            changed = replace(stack, **{name: value})
            yield Sample(
                f"setting {name}", stage, replace(stage, stacks={**stage.stacks, stack.name: changed})
            )


def _facts(stage: Stage) -> Iterator[Sample]:
    assert stage.facts is not None
    facts = stage.facts.model_dump(mode="json")
    for path in _leaves(facts):
        changed = copy.deepcopy(facts)
        *above, last = path.split(".")
        parent = changed
        for part in above:
            parent = parent[part]
        parent[last] = _other_fact(path, parent[last])
        yield Sample(f"fact {path}", stage, replace(stage, facts=StageFacts.model_validate(changed)))


def _leaves(facts: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in facts.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


def _other_fact(path: str, value: Any) -> Any:
    if path == "adapters":
        return [{"names": ["new"], "source": "hf://acme/new@0123", "sha256": None, "labels": {}}]
    choices = {
        "rollout.strategy": "linear",
        "network": "vpc",
        "model.source": "directory",
        "fleet.minimum": 0,  # an estimate needs them in order
        "fleet.expected": 1.5,
    }
    return choices.get(
        path, ["other"] if isinstance(value, list) else "other" if value is None else other(value)
    )


def other(value: Any) -> Any:
    """Return another value of the same form."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, list):
        return [other(value[0]), *value[1:]] if value else ["other"]
    if not isinstance(value, dict) or any(key == "Ref" or key.startswith("Fn::") for key in value):
        return "other"
    key = min(value, default="Other")
    return {**value, key: other(value.get(key))}


def _other_attribute(value: Any) -> Any:
    policies = {"Retain": "Delete", "Delete": "Retain"}
    return policies.get(value, other(value)) if isinstance(value, str) else other(value)


def _with_resource(stage: Stage, stack: Stack, key: str, resource: Mapping[str, Any]) -> Stage:
    return _with(stage, stack, Resources={**stack.resources, key: resource})


def _with(stage: Stage, stack: Stack, **sections: Any) -> Stage:
    changed = replace(stack, template={**stack.template, **sections})
    return replace(stage, stacks={**stage.stacks, stack.name: changed})


def test_facts_agree_with_the_templates(stages: list[Stage]) -> None:
    changed = [
        replace(stage, stacks={key: replace(each, tags={"a": "b"}) for key, each in stage.stacks.items()})
        for stage in stages
    ]
    found = reviewed([(_assembly(one), _assembly(other)) for one, other in zip(stages, changed, strict=True)])
    assert {each.rule for of_stage in found for each in of_stage} == {"form.tags"}
