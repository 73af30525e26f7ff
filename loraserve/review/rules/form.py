"""Changes of form: tags, metadata, order, outputs and descriptions. Judged by content, never by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from loraserve.review.assembly import Stage
from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import Difference, Json, Kind
from loraserve.review.finding import Finding, Level
from loraserve.review.rules.resources import REPLACING, changed, label, several
from loraserve.review.values import title

_CDK_METADATA = "AWS::CDK::Metadata"
#: Metadata that CloudFormation's helpers on instances run; the console only shows the others (CloudFormation
#: template reference, "Metadata attribute").
_RUN = ("AWS::CloudFormation::Init", "AWS::CloudFormation::Authentication")
#: Outputs that are judged as cost and quota.
_JUDGED_OUTPUTS = ("Outputs/MonthlyCost", "Outputs/InstanceQuota")


def form(change: StageComparison) -> Iterator[Finding]:
    """Find what changes nothing that is deployed, and the tags."""
    yield from _tags(change)
    yield from _metadata(change)
    yield from _dependencies(change)
    yield from _outputs(change)
    yield from _names(change)
    yield from _warnings(change)


def _tags(change: StageComparison) -> Iterator[Finding]:
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
    yield Finding(
        rule="form.tags",
        level=Level.ROUTINE,
        stage=change.id,
        title=title(f"tags of {len(properties) or len(stacks)} resources: {', '.join(keys)}"),
        consequence="Bills and inventories that go by tags show other numbers.",
        details=tuple(keys),
        differences=(*properties, *stacks),
    )


def _changed_tags(difference: Difference) -> set[str]:
    before, after = _tag_values(difference.before), _tag_values(difference.after)
    return {key for key in {*before, *after} if before.get(key) != after.get(key)} or {"another order"}


def _tag_values(tags: Json) -> dict[str, Any]:
    """Return tags by key; a list of keys and values, or an object."""
    if isinstance(tags, dict):
        return dict(tags)
    return {str(each.get("Key")): each.get("Value") for each in tags or () if isinstance(each, dict)}


def _metadata(change: StageComparison) -> Iterator[Finding]:
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


def _noise(change: StageComparison, rule: str, what: str, found: list[Difference]) -> Finding:
    return Finding(rule=rule, level=Level.NOISE, stage=change.id, title=title(what), differences=tuple(found))


def _dependencies(change: StageComparison) -> Iterator[Finding]:
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
            yield Finding(
                rule="alarms.order",
                level=Level.REVIEW,
                stage=change.id,
                title=title(f"`{label(resource)}` does not wait for {', '.join(lost)} any more"),
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


def _needs_order(resource: ResourceChange) -> bool:
    """Return True for resources that run at their deployment: an endpoint's model, a custom resource."""
    return resource.type.startswith(("AWS::SageMaker::", "Custom::", "AWS::CloudFormation::CustomResource"))


def _list(depends_on: Json) -> list[str]:
    return [depends_on] if isinstance(depends_on, str) else list(depends_on or ())


def _outputs(change: StageComparison) -> Iterator[Finding]:
    """Yield outputs: one that another stack of the base reads cannot go before that stack is updated."""
    noise: list[Difference] = []
    imported = _imports(change.before)
    for each in change.differences:
        if each.kind is not Kind.SECTION:
            continue
        if each.subject == "Description":
            noise.append(each)
        if not each.subject.startswith("Outputs/") or each.subject in _JUDGED_OUTPUTS:
            continue
        name = _export(each.before)
        stack = None if change.before is None else change.before.stacks[each.stack].stack_name
        read = (name is not None and json.dumps(name) in imported) or json.dumps(
            [stack, each.subject.removeprefix("Outputs/")]
        ) in imported
        if read and (each.after is None or _export(each.after) != name):
            yield Finding(
                rule="identity.output",
                level=Level.REVIEW,
                stage=change.id,
                title=title(f"output {each.subject.removeprefix('Outputs/')} goes, another stack reads it"),
                consequence="CloudFormation refuses to delete an export while a deployed stack imports it.",
                action="Deploy the reading stack first, or keep the output in this deployment.",
                differences=(each,),
                before=each.before,
                after=each.after,
            )
        else:
            noise.append(each)
    if noise:
        yield _noise(change, "form.outputs", f"outputs and descriptions: {len(noise)}", noise)


def _export(output: Json) -> Json:
    return None if output is None else output.get("Export", {}).get("Name")


def _imports(stage: Stage | None) -> set[str]:
    """Return what the stage's stacks read of each other, as JSON: names of exports, stack and output."""
    found: set[str] = set()

    def walk(value: Json) -> None:
        if isinstance(value, Mapping):
            if "Fn::ImportValue" in value:
                found.add(json.dumps(value["Fn::ImportValue"]))
            reference = value.get("Fn::GetStackOutput")
            if isinstance(reference, Mapping):
                found.add(json.dumps([reference.get("StackName"), reference.get("OutputName")]))
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    for stack in stage.stacks.values() if stage is not None else ():
        walk(stack.template)
    return found


def _names(change: StageComparison) -> Iterator[Finding]:
    """Yield another spelling of the stage file's name, which the app writes in its own form."""
    if found := change.facts("name"):
        yield _noise(change, "form.name", "the stage file has another name of the same stage", found)


def _warnings(change: StageComparison) -> Iterator[Finding]:
    """Yield warnings that this synth has and the base's had not."""
    for each in change.facts("warnings"):
        new = [line for line in each.after if line not in each.before]
        if not new:
            yield _noise(change, "form.warnings", "fewer warnings of synth", [each])
            continue
        yield Finding(
            rule="tooling.warning",
            level=Level.REVIEW,
            stage=change.id,
            title=title(
                f"synth warns: {new[0]}" if len(new) == 1 else f"synth warns of {len(new)} more things"
            ),
            consequence="The stage file deploys, but probably not as intended.",
            action="Follow the warning, or accept it.",
            details=tuple(new),
            differences=(each,),
        )
