"""The level of an added right: what is wide open, what another account gets, and what stays in the stage."""

from __future__ import annotations

import re
from collections.abc import Iterable

from loraserve.review.access.conditions import Condition, binds
from loraserve.review.access.coverage import Right
from loraserve.review.access.holders import ATTACHED_POLICY, VPC_ENDPOINT, Holder, Sort
from loraserve.review.access.patterns import (
    arn_parts,
    includes,
    is_unrestricted,
    is_whole_service,
    may_be_anything,
)
from loraserve.review.access.statements import EVERYBODY, ITSELF, Names
from loraserve.review.access.text import ACCOUNT
from loraserve.review.finding import Level

#: Actions that hand another role's rights to the one who has them.
_HANDING_OVER = ("sts:assumerole", "sts:assumerolewithwebidentity", "sts:assumerolewithsaml", "iam:passrole")
#: Names of AWS's managed policies with all actions of a service, or of all services.
_WHOLE_POLICY = re.compile(r"fullaccess|admin|poweruser")
#: Keys of conditions that restrict an action to a part of the resource.
_PARTS = {"s3:prefix"}


def judge(right: Right, holder: Holder, lost: Iterable[Right]) -> tuple[str, Level]:
    """Return the rule and the level of a right that a holder gets, `lost` being those it no longer has."""
    (first, *_) = right.principal.patterns or {EVERYBODY}
    if holder.type == VPC_ENDPOINT:  # it narrows what roles allow, and gives nothing by itself
        return "access.wider", Level.REVIEW
    if first == ITSELF and not right.principal.negated:
        return _of_identity(right, holder, lost)
    if right.is_opaque:
        return "access.wider", Level.BLOCK if may_be_anything(first) else Level.REVIEW
    if is_public(right):
        return "access.public", Level.BLOCK
    if is_foreign(right):
        hands_over = holder.sort is Sort.TRUST or any(_has_all_of_kms(each) for each in right.action.patterns)
        return "access.foreign", Level.BLOCK if hands_over or right.action.negated else Level.REVIEW
    return "access.wider", Level.REVIEW


def _of_identity(right: Right, holder: Holder, lost: Iterable[Right]) -> tuple[str, Level]:
    rule = "access.callers" if holder.sort is Sort.MANAGED else "access.wider"
    if is_dangerous(right):
        return rule, Level.BLOCK
    if right.action.patterns == {ATTACHED_POLICY}:
        return rule, Level.REVIEW
    if any(is_moved(right, each) for each in lost):
        return "access.rescoped", Level.ROUTINE
    resources = right.resource.patterns
    if (
        right.resource.negated
        or any(map(is_unrestricted, resources))
        or all(map(_names_the_stage, resources))
    ):
        return rule, Level.REVIEW
    return ("access.callers" if holder.sort is Sort.MANAGED else "access.foreign"), Level.REVIEW


def is_dangerous(right: Right) -> bool:
    """Return whether an identity's right is as wide as a whole service, or hands over other roles' rights."""
    if right.is_opaque:
        return any(map(may_be_anything, right.action.patterns))
    anywhere = right.resource.negated or any(map(is_unrestricted, right.resource.patterns))
    if right.action.negated:
        return anywhere
    for action in right.action.patterns:
        if action == ATTACHED_POLICY:
            return any(_WHOLE_POLICY.search(policy.lower()) for policy in right.resource.patterns)
        if anywhere and (is_whole_service(action) or any(includes(action, each) for each in _HANDING_OVER)):
            return True
    return False


def is_public(right: Right) -> bool:
    """Return whether everybody has the right, without a condition on organization, account or source."""
    if any(map(binds, right.conditions)):
        return False
    if right.principal.negated:
        return True
    return any(
        each == EVERYBODY
        or "*" in each.partition(":")[2]
        or may_be_anything(each)
        or (each.startswith("Federated:") and not _is_own_federation(each, right.conditions))
        for each in right.principal.patterns
    )


def _is_own_federation(principal: str, conditions: Iterable[Condition]) -> bool:
    """Return whether a provider of identities that others use as well is bound to one subject or audience."""
    if ":saml-provider/" in principal:
        return True
    return any(
        re.search(r":(sub|aud)$", each.key) is not None
        and each.test in ("StringEquals", "StringLike")
        and not each.if_exists
        and not each.operator.startswith("ForAllValues:")
        and all(_is_own_subject(value, each.key) for value in each.values)
        for each in conditions
    )


def _is_own_subject(value: str, key: str) -> bool:
    fixed = re.split(r"[*?]|\$\{", value)[0]
    if key.endswith(":aud"):  # many subjects of a shared provider have this audience
        return value == fixed and value != "sts.amazonaws.com"
    return value == fixed or "/" in fixed


def is_foreign(right: Right) -> bool:
    """Return whether a principal of another account has the right, or one whose account is not known."""
    if right.principal.negated:
        return True
    return any(_is_foreign(each, right.conditions) for each in right.principal.patterns)


def _is_foreign(principal: str, conditions: Iterable[Condition]) -> bool:
    kind, _, name = principal.partition(":")
    if principal == EVERYBODY:
        owners = [value for each in conditions if binds(each) for value in each.values]
        return not all(ACCOUNT in value or of_stage(value) for value in owners)
    if kind in ("Service", "Federated"):
        return False
    parts = arn_parts(name)
    return not of_stage(name) and (kind != "AWS" or parts is None or parts[4] != ACCOUNT)


def _has_all_of_kms(action: str) -> bool:
    return is_whole_service(action) and (
        includes(action, "kms:decrypt") or includes(action, "kms:putkeypolicy")
    )


def of_stage(resource: str) -> bool:
    """Return whether a text begins with a resource of the stage's templates."""
    return re.match(r"<[A-Za-z0-9-]+/[^>]*>", resource) is not None


def _names_the_stage(resource: str) -> bool:
    """Return whether a text is a resource of the stage, or an ARN around the name of one."""
    parts = arn_parts(resource)
    if parts is None:
        return of_stage(resource)
    return parts[4] in ("", "*", ACCOUNT) and of_stage(re.sub(r"^[a-z-]+[/:]", "", parts[5]))


def is_moved(right: Right, lost: Right) -> bool:
    """Return whether a right is a lost one on another part of the stage that is not larger.

    E.g. `s3:GetObject` on the bucket's prefix of another revision of the base model.
    """
    if (right.principal, right.action) != (lost.principal, lost.action) or right.action.negated:
        return False
    if any(includes(action, each) for action in right.action.patterns for each in _HANDING_OVER):
        return False
    others = right.conditions ^ lost.conditions
    if any(each.key not in _PARTS for each in others) or len(right.conditions) != len(lost.conditions):
        return False
    if right.resource == lost.resource:
        new, old = (
            Names(frozenset(value for each in others & of.conditions for value in each.values))
            for of in (right, lost)
        )
        return _is_other_part(new, old, fixed=1)
    if others or not all(map(of_stage, right.resource.patterns | lost.resource.patterns)):
        return False
    return _is_other_part(right.resource, lost.resource, fixed=2)


def _is_other_part(new: Names, old: Names, *, fixed: int) -> bool:
    """Return whether each new path has the old ones' first parts and wildcards, and is no shorter."""
    if new.negated or old.negated or not new.patterns or not old.patterns:
        return False
    return all(_has_form(_path(one), _path(other), fixed) for one in new.patterns for other in old.patterns)


def _has_form(new: list[str], old: list[str], fixed: int) -> bool:
    if _wildcards(new) != _wildcards(old):
        return False
    if fixed == 2 and new[0] != old[0]:  # another resource, the same part of it
        return new[1:] == old[1:]
    return len(new) >= len(old) > fixed and new[:fixed] == old[:fixed]


def _path(text: str) -> list[str]:
    """Split at slashes, but those within a placeholder."""
    return re.sub(r"<[^<>]*>", lambda found: found[0].replace("/", ";"), text).split("/")


def _wildcards(path: list[str]) -> list[tuple[int, str]]:
    return [(len(path) - at, part) for at, part in enumerate(path) if "*" in part or "?" in part]
