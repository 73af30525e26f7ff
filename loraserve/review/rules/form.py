"""Changes of form: tags, metadata, order, outputs and descriptions. Judged by content, never by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import REPLACING, Difference, Json, Kind
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.outputs import outputs
from loraserve.review.rules.resources import changed, label, several
from loraserve.review.values import counted, title

_CDK_METADATA = "AWS::CDK::Metadata"
#: Metadata that CloudFormation's helpers on instances run; the console only shows the others (CloudFormation
#: template reference, "Metadata attribute").
_RUN = ("AWS::CloudFormation::Init", "AWS::CloudFormation::Authentication")

#: Words that tell warnings of synth apart.
_KIND_WORDS = 3


def form(change: StageComparison) -> Iterator[ReviewFinding]:
    """Find what changes nothing that is deployed, and the tags."""
    yield from _tags(change)
    yield from _metadata(change)
    yield from _dependencies(change)
    yield from outputs(change)
    yield from _names(change)
    yield from _warnings(change)


def _tags(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield one finding for the tags of everything, those of the stacks too."""
    properties = [
        each
        for each in change.differences
        if each.kind is Kind.PROPERTY and each.name == "Tags" and each.impact not in REPLACING
    ]
    stacks = change.deployment("tags")
    if not properties and not stacks:
        return
    keys = sorted({key for each in (*properties, *stacks) for key in _changed_tags(each)})
    yield ReviewFinding(
        rule="form.tags",
        level=Level.ROUTINE,
        stage=change.id,
        title=title(f"tags of {_count(properties, stacks)}: {', '.join(keys)}"),
        consequence="Bills and inventories that go by tags show other numbers.",
        details=tuple(keys),
        differences=(*properties, *stacks),
    )


def _count(properties: list[Difference], stacks: list[Difference]) -> str:
    number, noun = (len(properties), "resource") if properties else (len(stacks), "stack")
    return counted(number, noun)


def _changed_tags(difference: Difference) -> set[str]:
    before, after = _tag_values(difference.before), _tag_values(difference.after)
    return {key for key in {*before, *after} if before.get(key) != after.get(key)} or {"another order"}


def _tag_values(tags: Json) -> dict[str, Any]:
    """Return tags by key; a list of keys and values, or an object."""
    if isinstance(tags, dict):
        return dict(tags)
    return {str(each.get("Key")): each.get("Value") for each in _items(tags) if isinstance(each, dict)}


def _items(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _metadata(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield metadata that only tools read."""
    found: list[Difference] = []
    for each in change.differences:
        if (each.kind is Kind.ATTRIBUTE and each.name == "Metadata") or each.subject.startswith("Metadata/"):
            if not _runs(each.before) and not _runs(each.after):
                found.append(each)
        elif each.type == _CDK_METADATA and each.kind in (Kind.RESOURCE, Kind.PROPERTY, Kind.ATTRIBUTE):
            both = [side["Type"] for side in (each.before, each.after) if each.kind is Kind.RESOURCE and side]
            if set(both) <= {_CDK_METADATA}:
                found.append(each)
    if found and change.before is not None and change.after is not None:
        yield _noise(
            change,
            "form.metadata",
            f"metadata of {several('resource', [each.subject for each in found])}",
            found,
        )


def _runs(metadata: Json) -> bool:
    return isinstance(metadata, dict) and any(key in metadata for key in _RUN)


def _noise(change: StageComparison, rule: str, what: str, found: list[Difference]) -> ReviewFinding:
    return ReviewFinding(
        rule=rule, level=Level.NOISE, stage=change.id, title=title(what), differences=tuple(found)
    )


def _dependencies(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield changes of `DependsOn`: a guard of what serves or calls, a form of everything else."""
    noise: list[Difference] = []
    for resource in changed(change, *{each.type for each in change.resources}):
        difference = resource.changed("DependsOn", Kind.ATTRIBUTE)
        if difference is None:
            continue
        lost = [each for each in _list(difference.before) if each not in _list(difference.after)]
        lost = [
            each for each in lost if change.after and each in change.after.stacks[resource.stack].resources
        ]
        if lost and _needs_order(resource):
            yield ReviewFinding(
                rule="alarms.order",
                level=Level.REVIEW,
                stage=change.id,
                title=title(f"`{label(resource)}` does not wait for {_some(lost)} any more"),
                consequence="It may be made before alarms that roll it back, or rights that it needs, exist.",
                action="Keep the dependency.",
                differences=(difference,),
                before=difference.before,
                after=difference.after,
            )
        else:
            noise.append(difference)
    if noise:
        yield _noise(
            change, "form.order", f"order of {several('resource', [each.subject for each in noise])}", noise
        )


def _some(names: list[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if names[1:] else "")


def _needs_order(resource: ResourceChange) -> bool:
    """Return True for resources that run at their deployment: an endpoint's model, a custom resource."""
    return resource.type.startswith(("AWS::SageMaker::", "Custom::", "AWS::CloudFormation::CustomResource"))


def _list(depends_on: Json) -> list[str]:
    return [depends_on] if isinstance(depends_on, str) else [str(each) for each in _items(depends_on)]


def _names(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield another spelling of the stage file's name, which the app writes in its own form."""
    if found := change.facts("name"):
        yield _noise(change, "form.name", "the stage file has another name of the same stage", found)


def _warnings(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield warnings that this synth has and the base's had not."""
    for each in change.facts("warnings"):
        new = [line for line in each.after if line not in each.before]
        known = {_kind(line) for line in each.before}
        fresh = [line for line in new if _kind(line) not in known]
        if not new:
            yield _noise(change, "form.warnings", "fewer warnings of synth", [each])
            continue
        lines = fresh or new
        yield ReviewFinding(
            rule="tooling.warning",
            level=Level.REVIEW if fresh else Level.ROUTINE,
            stage=change.id,
            title=title(
                f"synth warns: {lines[0]}" if len(lines) == 1 else f"synth warns of {len(lines)} things"
            ),
            consequence="The stage file deploys, but probably not as intended."
            if fresh
            else "The base has the same warning of other values.",
            action="Follow the warning, or accept it." if fresh else "",
            details=tuple(new),
            differences=(each,),
        )


def _kind(warning: str) -> tuple[str, ...]:
    """Return the first words without numbers: the same in a warning of other values."""
    return tuple(word for word in warning.split() if not any(map(str.isdigit, word)))[:_KIND_WORDS]
