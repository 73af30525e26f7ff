"""Rules on roles beside their policies: boundary, name, session, use by another resource, deletion."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loraserve.review.access.coverage import uncovered
from loraserve.review.access.danger import judge
from loraserve.review.access.holders import (
    IDENTITY_POLICIES,
    MANAGED_POLICY,
    ROLE,
    Held,
    Holder,
    Sort,
    holders,
)
from loraserve.review.access.text import Resolver
from loraserve.review.access.wording import Words, title
from loraserve.review.assembly import Stage
from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import Difference, Impact, Json
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.values import counted, resource_of

#: Properties whose change replaces a role or policy under a new name or ARN.
_NAMES = ("RoleName", "Path", "ManagedPolicyName")
#: Properties whose value is the ARN of a role, e.g. `ExecutionRoleArn`, `DeliverLogsPermissionArn`.
_ROLE_PROPERTY = re.compile(r"(Role(Arn|ARN)?|PermissionArn)$")
#: Seconds of a session where a role has no other limit (IAM API, CreateRole).
_SESSION = 3600


def roles(change: StageComparison) -> Iterator[ReviewFinding]:
    """Judge the properties of roles that are no policies."""
    yield from _boundaries(change)
    yield from _sessions(change)
    yield from _replaced(change)
    yield from _deleted(change)
    yield from _used(change)


def _boundaries(change: StageComparison) -> Iterator[ReviewFinding]:
    types = (ROLE, "AWS::IAM::User")
    found = [one for each in change.of_type(*types) if (one := each.changed("PermissionsBoundary"))]
    for verb, differences in (
        ("gone from", [each for each in found if each.after is None]),
        ("changed for", [each for each in found if each.before is not None and each.after is not None]),
    ):
        if differences:
            yield ReviewFinding(
                rule="access.boundary",
                level=Level.REVIEW,
                stage=change.id,
                title=f"permissions boundary {verb} {counted(len(differences), 'role')}",
                consequence="The boundary limits what any policy can allow these roles.",
                action="Ask the owner of the boundary.",
                details=tuple(f"{each.stack}: {each.subject}" for each in differences),
                differences=tuple(differences),
                before=differences[0].before,
                after=differences[0].after,
            )
    added = [each for each in found if each.before is None]
    if added:
        yield ReviewFinding(
            rule="access.narrower",
            level=Level.ROUTINE,
            stage=change.id,
            title=f"permissions boundary set for {counted(len(added), 'role')}",
            consequence="It limits what any policy can allow these roles.",
            differences=tuple(added),
        )


def _sessions(change: StageComparison) -> Iterator[ReviewFinding]:
    for each in change.of_type(ROLE):
        found = each.changed("MaxSessionDuration")
        if found is None:
            continue
        before, after = (_SESSION if value is None else value for value in (found.before, found.after))
        is_shorter = isinstance(before, int) and isinstance(after, int) and after <= before
        yield ReviewFinding(
            rule="access.session",
            level=Level.ROUTINE if is_shorter else Level.REVIEW,
            stage=change.id,
            title=title(f"role {each.path}: sessions of up to {after} s instead of {before} s"),
            consequence="Credentials of the role are valid for as long.",
            differences=(found,),
        )


def _replaced(change: StageComparison) -> Iterator[ReviewFinding]:
    for each in change.of_type(*IDENTITY_POLICIES):
        name = each.changed("PolicyName")
        if name is not None:
            yield ReviewFinding(
                rule="form.description",
                level=Level.NOISE,
                stage=change.id,
                title=title(f"the inline policy {each.path} is renamed"),
                differences=(name,),
            )
    for each in change.of_type(ROLE, MANAGED_POLICY):
        names = [found for name in _NAMES if (found := each.changed(name))]
        description = each.changed("Description")
        if description is not None and each.type == MANAGED_POLICY:  # IAM cannot edit it: a new policy
            names.append(description)
        elif description is not None:
            yield ReviewFinding(
                rule="form.description",
                level=Level.NOISE,
                stage=change.id,
                title=title(f"the description of {each.path} changes"),
                differences=(description,),
            )
        if names:
            kind = "role" if each.type == ROLE else "managed policy"
            yield ReviewFinding(
                rule="access.replaced" if each.type == ROLE else "access.callers",
                level=Level.REVIEW,
                stage=change.id,
                title=title(f"{kind} {each.path} is replaced by one with another name or ARN"),
                consequence=f"Grants and attachments by the old {kind}'s name elsewhere are lost.",
                action="Find out who refers to it outside of this stage.",
                differences=tuple(names),
            )


def _deleted(change: StageComparison) -> Iterator[ReviewFinding]:
    for each in change.of_type(ROLE, MANAGED_POLICY):
        if not each.is_removed or not _has_stack(change.after, each.stack):
            continue
        if each.type == ROLE and _users(change, each):
            continue  # what used it goes too, or has another role
        kind = "role" if each.type == ROLE else "managed policy"
        is_kept = each.impact is Impact.ORPHAN
        yield ReviewFinding(
            rule="access.callers" if each.type == MANAGED_POLICY else "access.replaced",
            level=Level.REVIEW,
            stage=change.id,
            title=title(f"{kind} {each.path} {'leaves the stack and stays' if is_kept else 'is deleted'}"),
            consequence="Nothing in the templates uses it: those outside that do lose their access, and IAM "
            "refuses to delete a managed policy while it is attached.",
            action="Find out who uses it.",
            differences=each.differences,
        )


def _used(change: StageComparison) -> Iterator[ReviewFinding]:
    """Judge resources that run with another role."""
    if change.before is None or change.after is None:
        return
    changed = [
        (each, found)
        for each in change.resources
        for found in each.differences
        if not each.type.startswith("AWS::IAM::") and _names_a_role(change, found)
    ]
    if not changed:
        return
    resolvers = Resolver(change.before), Resolver(change.after)
    held = holders(change.before), holders(change.after)
    words = Words(change)
    for each, found in changed:
        names = [
            _role_name(resolver.text(value, stage.stacks[each.stack]))
            for resolver, stage, value in zip(
                resolvers, (change.before, change.after), (found.before, found.after), strict=True
            )
        ]
        yield from _compared(change, each, found, names, held, words)


def _compared(
    change: StageComparison,
    resource: ResourceChange,
    difference: Difference,
    names: list[str],
    held: tuple[dict[Holder, Held], dict[Holder, Held]],
    words: Words,
) -> Iterator[ReviewFinding]:
    path = words.text(f"<{resource.stack}/{resource.logical_id}>")
    if names[0] == names[1]:
        yield ReviewFinding(
            rule="form.policy",
            level=Level.NOISE,
            stage=change.id,
            title=title(f"{resource.path} names its role in another way"),
            differences=(difference,),
        )
        return
    before, after = (
        side.get(Holder(Sort.IDENTITY, ROLE, name)) for side, name in zip(held, names, strict=True)
    )
    user = Holder(Sort.IDENTITY, resource.type, f"<{resource.stack}/{resource.logical_id}>")
    if after is None:
        level, rule, rights = Level.REVIEW, "access.foreign", []
        text = f"{path} runs with a role that is not in the templates"
    else:
        old = [] if before is None else before.statements
        rights = uncovered(after.statements, old, allows=True)
        guards = uncovered(old, after.statements, allows=False)
        lost = uncovered(old, after.statements, allows=True)
        judged = [judge(right, user, lost) for right in rights]
        level = max((level for _, level in judged), default=Level.REVIEW if guards else Level.ROUTINE)
        rule = next(
            (rule for rule, of in judged if of is level), "access.guard" if guards else "access.narrower"
        )
        text = f"{path} runs with {words.text(names[1])} instead of {words.text(names[0])}"
    yield ReviewFinding(
        rule=rule,
        level=level,
        stage=change.id,
        title=title(text, f"{path} runs with {words.text(names[1])}", f"{path} runs with another role"),
        consequence="It may do what the new role may."
        if level > Level.ROUTINE
        else "It may do no more than before.",
        action="Check that each line of the list is needed." if rights else "",
        details=words.lines(rights, user),
        differences=(difference,),
        before=difference.before,
        after=difference.after,
    )


def _names_a_role(change: StageComparison, found: Difference) -> bool:
    """Return whether a changed property is a role, by its name or by what it refers to."""
    if found.before is None or found.after is None or not found.name:
        return False
    return _ROLE_PROPERTY.search(found.name) is not None or any(
        resource_of(stage, stage.stacks[found.stack], value).get("Type") == ROLE
        for stage, value in ((change.before, found.before), (change.after, found.after))
        if stage is not None
    )


def _role_name(text: str) -> str:
    """Return a role's name for its ARN."""
    return text.removesuffix(".Arn>") + ">" if text.endswith(".Arn>") else text


def _users(change: StageComparison, role: ResourceChange) -> bool:
    """Return whether a resource of the base, but a policy, refers to the role."""
    stack = change.before.stacks.get(role.stack) if change.before is not None else None
    if stack is None:
        return False
    return any(
        _refers(resource.get("Properties", {}), role.logical_id)
        for resource in stack.resources.values()
        if not resource["Type"].startswith("AWS::IAM::")
    )


def _refers(value: Json, logical_id: str) -> bool:
    if isinstance(value, dict):
        found = value.get("Fn::GetAtt")
        if value.get("Ref") == logical_id or (isinstance(found, list) and found[:1] == [logical_id]):
            return True
        return any(_refers(each, logical_id) for each in value.values())
    return isinstance(value, list) and any(_refers(each, logical_id) for each in value)


def _has_stack(stage: Stage | None, name: str) -> bool:
    return stage is not None and name in stage.stacks
