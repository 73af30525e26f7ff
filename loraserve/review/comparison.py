"""Comparison of two assemblies: every difference, by stage.

Differences are found here, by strict comparison of JSON, so that nothing is dropped: the library of
`cdk diff` takes some values for equal, such as "1" and 1. The library says what CloudFormation does to a
resource.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from loraserve.review.assembly import CloudAssembly, Stack, Stage
from loraserve.review.difference import Difference, Impact, Json, Kind
from loraserve.review.impacts import ResourceImpact, impacts
from stacks.facts import StageFacts

_EMPTY: Mapping[str, Any] = {"Resources": {}}


@dataclass(frozen=True, kw_only=True)
class ResourceChange:
    """A resource that differs."""

    stack: str
    logical_id: str
    type: str
    impact: Impact
    before: Mapping[str, Any] | None
    """The resource on the base, with `Type` and `Properties`; None for a new one."""
    after: Mapping[str, Any] | None
    differences: tuple[Difference, ...]
    """One of `Kind.RESOURCE`, or several of `Kind.PROPERTY` and `Kind.ATTRIBUTE`."""
    stateful: bool | None = None
    """True for a type that holds data, by AWS's resource specification; None for a type it does not know."""

    @property
    def is_added(self) -> bool:
        """True if the base lacks it."""
        return self.before is None

    @property
    def is_removed(self) -> bool:
        """True if only the base has it."""
        return self.after is None

    @property
    def path(self) -> str:
        """Path of its construct, e.g. `Prod/Serving/Endpoint`; the logical id if it has none."""
        metadata = (self.after or self.before or {}).get("Metadata", {})
        found = metadata.get("aws:cdk:path") if isinstance(metadata, dict) else None
        return str(found or self.logical_id).removesuffix("/Resource").removesuffix("/Default")

    def changed(self, name: str, kind: Kind = Kind.PROPERTY) -> Difference | None:
        """Return the difference of a property, or of an attribute; None if it is equal."""
        return next((each for each in self.differences if each.kind is kind and each.name == name), None)


@dataclass(frozen=True, kw_only=True)
class StageComparison:
    """One stage on both sides, at least one of them not None."""

    id: str
    """E.g. `Prod`."""
    before: Stage | None
    after: Stage | None
    differences: tuple[Difference, ...]
    resources: tuple[ResourceChange, ...]
    """All resources that differ."""
    impacts: Mapping[tuple[str, str], Impact]
    """By stack and logical id, also of resources that are equal but refer to a replaced one."""

    @property
    def facts_before(self) -> StageFacts | None:
        """Facts of the base."""
        return None if self.before is None else self.before.facts

    @property
    def facts_after(self) -> StageFacts | None:
        """Facts of the head."""
        return None if self.after is None else self.after.facts

    @cached_property
    def name(self) -> str:
        """Name of the stage file, e.g. `prod`."""
        facts = self.facts_after or self.facts_before
        return self.id.lower() if facts is None else facts.name

    def of_type(self, *types: str) -> list[ResourceChange]:
        """Return the changed resources of these types."""
        return [each for each in self.resources if each.type in types]

    def facts(self, *paths: str) -> list[Difference]:
        """Return the differences of facts at these dotted paths and below them."""
        return [
            each
            for each in self.differences
            if each.kind is Kind.FACT
            and any(each.subject == path or each.subject.startswith(f"{path}.") for path in paths)
        ]

    def deployment(self, name: str) -> list[Difference]:
        """Return the differences of a setting of stacks, e.g. `region`."""
        return [each for each in self.differences if each.kind is Kind.DEPLOYMENT and each.name == name]


def compare(before: CloudAssembly, after: CloudAssembly) -> list[StageComparison]:
    """Compare all stages, in the order of the head; those that only the base has are last."""
    [found] = comparisons([(before, after)])
    return found


def comparisons(sides: Sequence[tuple[CloudAssembly, CloudAssembly]]) -> list[list[StageComparison]]:
    """Compare each pair of assemblies; the diff library is started once for all of them."""
    pairs = {
        (number, stage, name): (
            _template(before.stages.get(stage), name),
            _template(after.stages.get(stage), name),
        )
        for number, (before, after) in enumerate(sides)
        for stage in _ids(before, after)
        for name in _names(before.stages.get(stage), after.stages.get(stage))
    }
    differing = {key: pair for key, pair in pairs.items() if not equal(*pair)}
    found = impacts(list(differing.values())) if differing else []
    by_stage: dict[tuple[int, str], dict[str, Mapping[str, ResourceImpact]]] = defaultdict(dict)
    for (number, stage, name), of_stack in zip(differing, found, strict=True):
        by_stage[number, stage][name] = of_stack
    return [
        [
            _compare_stage(stage, before.stages.get(stage), after.stages.get(stage), by_stage[number, stage])
            for stage in _ids(before, after)
        ]
        for number, (before, after) in enumerate(sides)
    ]


def _ids(before: CloudAssembly, after: CloudAssembly) -> list[str]:
    return [*after.stages, *(each for each in before.stages if each not in after.stages)]


def equal(before: Json, after: Json) -> bool:
    """Compare strictly: 1, 1.0, true and "1" differ; the order of an object's keys does not."""
    return json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)


def _names(before: Stage | None, after: Stage | None) -> list[str]:
    new = [] if after is None else list(after.stacks)
    return new if before is None else [*new, *(each for each in before.stacks if each not in new)]


def _template(stage: Stage | None, name: str) -> Mapping[str, Any]:
    stack = None if stage is None else stage.stacks.get(name)
    return _EMPTY if stack is None else stack.template


def _compare_stage(
    stage: str,
    before: Stage | None,
    after: Stage | None,
    by_stack: Mapping[str, Mapping[str, ResourceImpact]],
) -> StageComparison:
    differences: list[Difference] = []
    resources: list[ResourceChange] = []
    if before is None or after is None:
        differences.append(Difference(kind=Kind.STAGE, stage=stage, subject=stage))
    for name in _names(before, after):
        old = None if before is None else before.stacks.get(name)
        new = None if after is None else after.stacks.get(name)
        differences += _of_stack(stage, name, old, new)
        changes = list(_resources(stage, name, old, new, by_stack.get(name, {})))
        resources += changes
        differences += [each for change in changes for each in change.differences]
    if before is not None and after is not None and before.facts is not None and after.facts is not None:
        differences += _facts(stage, before.facts, after.facts)
    return StageComparison(
        id=stage,
        before=before,
        after=after,
        differences=tuple(differences),
        resources=tuple(resources),
        impacts={
            (name, logical_id): found.impact
            for name, all_found in by_stack.items()
            for logical_id, found in all_found.items()
        },
    )


def _of_stack(stage: str, name: str, before: Stack | None, after: Stack | None) -> Iterator[Difference]:
    """Yield what differs beside the resources."""
    if before is None or after is None:
        yield Difference(kind=Kind.STACK, stage=stage, stack=name, subject=name)
        return
    for setting, old, new in (
        ("account", before.account, after.account),
        ("region", before.region, after.region),
        ("stackName", before.stack_name, after.stack_name),
        ("terminationProtection", before.termination_protection, after.termination_protection),
        ("tags", dict(before.tags), dict(after.tags)),
        ("dependencies", list(before.dependencies), list(after.dependencies)),
    ):
        if not equal(old, new):
            yield Difference(
                kind=Kind.DEPLOYMENT, stage=stage, stack=name, name=setting, before=old, after=new
            )
    for section in sorted({*before.template, *after.template} - {"Resources"}):
        yield from _of_section(
            stage, name, section, before.template.get(section), after.template.get(section)
        )


def _of_section(stage: str, stack: str, section: str, before: Json, after: Json) -> Iterator[Difference]:
    old_entries, new_entries = ({} if each is None else each for each in (before, after))
    if isinstance(old_entries, dict) and isinstance(new_entries, dict):
        for key, old, new in _entries(old_entries, new_entries):
            subject = f"{section}/{key}"
            yield Difference(
                kind=Kind.SECTION, stage=stage, stack=stack, subject=subject, before=old, after=new
            )
    elif not equal(before, after):
        yield Difference(
            kind=Kind.SECTION, stage=stage, stack=stack, subject=section, before=before, after=after
        )


def _resources(
    stage: str,
    stack: str,
    before: Stack | None,
    after: Stack | None,
    found: Mapping[str, ResourceImpact],
) -> Iterator[ResourceChange]:
    old_resources: Mapping[str, Any] = {} if before is None else before.resources
    new_resources: Mapping[str, Any] = {} if after is None else after.resources
    for logical_id, old, new in _entries(old_resources, new_resources):
        kind = (new or old)["Type"]
        impact = found.get(logical_id, ResourceImpact(_impact_of_absence(old, new), {}))
        about = {"stage": stage, "stack": stack, "subject": logical_id, "type": kind}
        if old is None or new is None or old["Type"] != new["Type"]:
            differences = [
                Difference(kind=Kind.RESOURCE, before=old, after=new, impact=impact.impact, **about)
            ]
        else:
            differences = [
                Difference(
                    kind=Kind.PROPERTY,
                    name=name,
                    before=one,
                    after=other,
                    impact=impact.properties.get(name, Impact.UPDATE),
                    **about,
                )
                for name, one, other in _entries(old.get("Properties", {}), new.get("Properties", {}))
            ]
            differences += [
                Difference(kind=Kind.ATTRIBUTE, name=name, before=one, after=other, **about)
                for name, one, other in _entries(old, new)
                if name != "Properties"
            ]
        yield ResourceChange(
            stack=stack,
            logical_id=logical_id,
            type=kind,
            impact=impact.impact,
            before=old,
            after=new,
            differences=tuple(differences),
            stateful=impact.stateful,
        )


def _impact_of_absence(before: Json, after: Json) -> Impact:
    if before is None:
        return Impact.CREATE
    return Impact.DESTROY if after is None else Impact.UPDATE


def _facts(stage: str, before: StageFacts, after: StageFacts) -> Iterator[Difference]:
    return (
        Difference(kind=Kind.FACT, stage=stage, subject=path, before=old, after=new)
        for path, old, new in _leaves("", before.model_dump(mode="json"), after.model_dump(mode="json"))
    )


def _leaves(path: str, before: Json, after: Json) -> Iterator[tuple[str, Json, Json]]:
    """Yield the differing values below `path`; lists are compared as a whole."""
    for key, old, new in _entries(before, after):
        below = f"{path}.{key}" if path else key
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _leaves(below, old, new)
        else:
            yield below, old, new


def _entries(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the keys whose values differ, sorted, with both values; None for an absent one."""
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if (key in before) != (key in after) or not equal(old, new):
            yield key, old, new
