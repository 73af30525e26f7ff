"""KMS keys: a lost key makes data unreadable."""

from __future__ import annotations

import json
from collections.abc import Iterator

from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import REPLACING, Difference, Impact, Json
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.resources import changed, is_whole, label
from loraserve.review.values import properties, title

KEY = "AWS::KMS::Key"
#: KMS's period without `PendingWindowInDays`.
_DEFAULT_WINDOW = 30
#: Types whose content a key protects only until it is delivered.
_TRANSIENT = ("AWS::SNS::Topic",)


def keys(change: StageComparison) -> Iterator[ReviewFinding]:
    """Find keys that go, are disabled, or lose a guard; the key policy is another rule's."""
    for resource in changed(change, KEY):
        if resource.is_added:
            yield ReviewFinding(
                rule="loss.key",
                level=Level.ROUTINE,
                stage=change.id,
                title=title(f"key `{label(resource)}` is new"),
                consequence="Nothing is encrypted by it yet.",
                differences=resource.differences,
            )
        elif resource.is_removed:
            yield _removed(change, resource)
        elif not is_whole(resource):
            yield from _properties(change, resource)


def _removed(change: StageComparison, resource: ResourceChange) -> ReviewFinding:
    users = _users(change, resource)
    unreadable = [name for name, is_lost in users if is_lost]
    gone = "is left behind" if resource.impact is Impact.ORPHAN else "is deleted"
    level = Level.BLOCK if unreadable else Level.ROUTINE if users else Level.REVIEW
    return ReviewFinding(
        rule="loss.unreadable" if unreadable else "loss.key",
        level=level,
        stage=change.id,
        title=title(
            f"key `{label(resource)}` {gone}"
            + (f", which encrypted {', '.join(unreadable)}" if unreadable else "")
        ),
        consequence={
            Level.BLOCK: "What it encrypted can no longer be read, by the roles of the stage at least.",
            Level.REVIEW: "Nothing in this stage was encrypted by it; other users of it are not known.",
            Level.ROUTINE: "What it encrypted goes as well, and was delivered before.",
        }[level],
        action="" if level is Level.ROUTINE else "Keep the key as long as data that it encrypted exist.",
        differences=resource.differences,
    )


def _users(change: StageComparison, key: ResourceChange) -> list[tuple[str, bool]]:
    """Return the base's resources that are encrypted by the key, and if their content is lost with it.

    Roles and policies name the key as well: a resource is a user if it is not about access. The content of
    a topic is lost only if the topic stays, one that holds data in any case.
    """
    found: list[tuple[str, bool]] = []
    stack = None if change.before is None else change.before.stacks.get(key.stack)
    if stack is None:
        return found
    exports = {
        output["Export"]["Name"]
        for output in stack.template.get("Outputs", {}).values()
        if "Export" in output
        and isinstance(output["Export"]["Name"], str)
        and _names(output["Value"], key.logical_id)
    }
    stacks = [] if change.before is None else change.before.stacks.values()
    for other in stacks:
        for logical_id, resource in other.resources.items():
            kind = resource["Type"]
            if kind.startswith("AWS::IAM::") or kind.endswith("Policy") or logical_id == key.logical_id:
                continue
            local = other.name == key.stack and _names(properties(resource), key.logical_id)
            imported = any(
                f'{{"Fn::ImportValue": "{name}"}}' in json.dumps(properties(resource)) for name in exports
            )
            if local or imported:
                after = None if change.after is None else change.after.stacks.get(other.name)
                stays = after is not None and logical_id in after.resources
                found.append((logical_id, stays or kind not in _TRANSIENT))
    return found


def _names(value: object, logical_id: str) -> bool:
    """Return True if a value of a template refers to the resource."""
    written = json.dumps(value)
    return f'{{"Ref": "{logical_id}"}}' in written or f'{{"Fn::GetAtt": ["{logical_id}", ' in written


def _properties(change: StageComparison, resource: ResourceChange) -> Iterator[ReviewFinding]:
    name = label(resource)
    replaced = [
        each for each in resource.differences if each.impact in REPLACING and each.name != "KeyPolicy"
    ]
    if replaced:
        yield _finding(
            change,
            "loss.unreadable",
            Level.BLOCK,
            f"key `{name}` is replaced",
            "The stage can no longer read what the old key encrypted, or CloudFormation refuses it.",
            replaced,
        )
    for difference in resource.differences:
        if difference in replaced:
            continue
        before, after = difference.before, difference.after
        if difference.name == "Enabled" and (on := _switch(after)) is not None:
            off = not on
            yield _finding(
                change,
                "loss.unreadable" if off else "loss.key",
                Level.BLOCK if off else Level.ROUTINE,
                f"key `{name}` is {'disabled' if off else 'enabled'}",
                "Nothing that it encrypted can be read or written."
                if off
                else "What it encrypted can be read.",
                [difference],
            )
        elif difference.name == "EnableKeyRotation":
            on = after is not None and _switch(after) is True
            yield _finding(
                change,
                "loss.guard",
                Level.ROUTINE if on else Level.REVIEW,
                f"key `{name}`: rotation is {'on' if on else 'off'}",
                "Earlier data stay readable.",
                [difference],
            )
        elif difference.name == "RotationPeriodInDays":
            yield _finding(
                change,
                "loss.guard",
                Level.ROUTINE,
                f"key `{name}` rotates every {after or 365} days instead of {before or 365}",
                "Earlier data stay readable.",
                [difference],
            )
        elif difference.name == "PendingWindowInDays" and all(
            isinstance(value, int | None) for value in (before, after)
        ):
            old, new = before or _DEFAULT_WINDOW, after or _DEFAULT_WINDOW
            shorter = new < old
            yield _finding(
                change,
                "loss.guard",
                Level.REVIEW if shorter else Level.ROUTINE,
                f"key `{name}`: its deletion can be cancelled for {new} days instead of {old}",
                "Afterwards nothing can read what it encrypted.",
                [difference],
            )
        elif difference.name == "Description":
            yield _finding(
                change,
                "form.description",
                Level.NOISE,
                f"key `{name}` has another description",
                "",
                [difference],
            )


def _switch(value: Json) -> bool | None:
    """Return a switch that is on by default; None for a condition."""
    return {"true": True, "false": False}.get(str(True if value is None else value).lower())


def _finding(
    change: StageComparison,
    rule: str,
    level: Level,
    what: str,
    consequence: str,
    differences: list[Difference],
) -> ReviewFinding:
    return ReviewFinding(
        rule=rule,
        level=level,
        stage=change.id,
        title=title(what),
        consequence=consequence,
        action="" if level < Level.REVIEW else "Keep it as it was, or say why the data allow it.",
        differences=tuple(differences),
        before=differences[0].before,
        after=differences[0].after,
    )
