"""Outputs of stacks: one that another stack reads cannot go before that stack is updated."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from loraserve.review.assembly import Stage
from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Difference, Json, Kind
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.resources import below, several, verb
from loraserve.review.values import mapping, text, title

#: Outputs that are judged as cost and quota.
_JUDGED_OUTPUTS = ("Outputs/MonthlyCost", "Outputs/InstanceQuota")


def outputs(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield outputs: one that another stack of the base reads cannot go before that stack is updated."""
    noise: list[Difference] = []
    lost: list[Difference] = []
    other: list[Difference] = []
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
            lost.append(each)
        elif read and _content(each.before) != _content(each.after):
            other.append(each)
        else:
            noise.append(each)
    if lost:
        names = [each.subject.removeprefix("Outputs/") for each in lost]
        yield ReviewFinding(
            rule="identity.output",
            level=Level.REVIEW,
            stage=change.id,
            title=title(
                f"{several('output', names)} {verb(names, 'goes', 'go')}, but another stack reads on"
            ),
            consequence="CloudFormation refuses to delete an export while a deployed stack imports it.",
            action="Deploy the reading stack first, or keep the output in this deployment.",
            details=tuple(names),
            differences=tuple(lost),
        )
    if other:
        names = [each.subject.removeprefix("Outputs/") for each in other]
        yield ReviewFinding(
            rule="identity.output",
            level=Level.REVIEW,
            stage=change.id,
            title=title(f"another stack reads {text(below(other[0].after, 'Value'))} from {_quoted(names)}"),
            consequence="CloudFormation refuses to change an export while a deployed stack imports it; later "
            "the stack works with another resource.",
            action="Check that it is the same resource, or keep the output and add another one.",
            details=tuple(
                f"{name}: {text(below(each.before, 'Value'))} → {text(below(each.after, 'Value'))}"
                for name, each in zip(names, other, strict=True)
            ),
            differences=tuple(other),
        )
    if noise:
        yield ReviewFinding(
            rule="form.outputs",
            level=Level.NOISE,
            stage=change.id,
            title=f"outputs and descriptions: {len(noise)}",
            differences=tuple(noise),
        )


def _export(output: Json) -> Json:
    return below(output, "Export", "Name")


def _content(output: Json) -> Json:
    """Return an output without its description."""
    return {key: value for key, value in mapping(output).items() if key != "Description"} or output


def _quoted(names: list[str]) -> str:
    return f"output `{names[0]}`" + (f" and {len(names) - 1} more" if names[1:] else "")


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
