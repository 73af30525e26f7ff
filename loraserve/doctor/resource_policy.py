"""Reading of resource policies: whether one lets a principal perform an action.

The rules are IAM's evaluation logic for one resource policy: a matching Deny wins, then a matching Allow
counts. A condition on a key whose value is not known here makes a statement `UNCLEAR`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any


class Verdict(StrEnum):
    """The effect of a policy on one request."""

    ALLOWED = "allowed"
    NOT_ALLOWED = "not allowed"
    UNCLEAR = "unclear"
    """It depends on a condition, or on an element of the policy, that is not evaluated here."""


@dataclass(frozen=True)
class Requester:
    """A principal, and the condition keys of its requests."""

    principals: frozenset[str]
    """Each way to write it in a policy, e.g. an account's number and its root's ARN."""
    context: Mapping[str, str]
    """Values of condition keys, whose names are in lower case."""


def service(name: str, *, account: str, source_arn: str) -> Requester:
    """Return an AWS service that acts for a resource of `account`; `source_arn` may end with `*`."""
    return Requester(
        frozenset({name}),
        {
            "aws:sourceaccount": account,
            # SNS's own older key, which the policy of a new topic has.
            "aws:sourceowner": account,
            "aws:sourcearn": source_arn,
            "aws:securetransport": "true",
        },
    )


def identities(account: str, partition: str) -> Requester:
    """Return the account itself: a policy that allows it leaves the decision to IAM policies."""
    return Requester(
        frozenset({account, f"arn:{partition}:iam::{account}:root"}),
        {"kms:calleraccount": account, "aws:principalaccount": account, "aws:securetransport": "true"},
    )


def verdict(policy: str, requester: Requester, action: str) -> Verdict:
    """Return the effect of a policy document (JSON) on an action, e.g. `sns:Publish`."""
    statements = json.loads(policy).get("Statement", [])
    matches = [
        (statement.get("Effect"), _applies(statement, requester, action.lower()))
        for statement in ([statements] if isinstance(statements, dict) else statements)
    ]
    if ("Deny", True) in matches:
        return Verdict.NOT_ALLOWED
    if ("Deny", None) in matches:
        return Verdict.UNCLEAR
    if ("Allow", True) in matches:
        return Verdict.ALLOWED
    return Verdict.UNCLEAR if ("Allow", None) in matches else Verdict.NOT_ALLOWED


def _applies(statement: Mapping[str, Any], requester: Requester, action: str) -> bool | None:
    """Return whether a statement is about the request; None if that is unclear."""
    parts = [_has_action(statement, action), _has_principal(statement, requester)]
    conditions = statement.get("Condition", {})
    parts += [
        _condition(operator, key, _texts(values), requester.context)
        for operator, keys in conditions.items()
        for key, values in keys.items()
    ]
    return False if False in parts else None if None in parts else True


def _has_action(statement: Mapping[str, Any], action: str) -> bool:
    def matches(element: str) -> bool:
        return any(fnmatchcase(action, pattern.lower()) for pattern in _texts(statement[element]))

    return not matches("NotAction") if "NotAction" in statement else matches("Action")


def _has_principal(statement: Mapping[str, Any], requester: Requester) -> bool | None:
    if "NotPrincipal" in statement:
        return None
    principal = statement.get("Principal", {})
    by_kind = {"AWS": principal} if isinstance(principal, str) else principal
    named = [text for names in by_kind.values() for text in _texts(names)]
    return "*" in named or not requester.principals.isdisjoint(named)


def _condition(operator: str, key: str, values: list[str], context: Mapping[str, str]) -> bool | None:
    """Return whether a condition holds; None for a key or an operator that is not evaluated here."""
    value = context.get(key.lower())
    kind = operator.lower().removesuffix("ifexists")
    if value is None or kind not in {"stringequals", "stringlike", "arnequals", "arnlike", "bool"}:
        return None
    if kind == "stringequals":
        return value in values
    if kind == "bool":
        return value in {text.lower() for text in values}
    if any(fnmatchcase(value, text) for text in values):
        return True
    # The names of alarms and other sources are known by their beginning only.
    return None if value.endswith("*") and any(_may_overlap(value, text) for text in values) else False


def _may_overlap(value: str, pattern: str) -> bool:
    """Return whether a name that starts as `value` may match the pattern: they agree up to a wildcard."""
    known, stated = value.rstrip("*"), pattern.partition("*")[0]
    return known.startswith(stated) or stated.startswith(known)


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on a request that needs several actions."""
    found = set(verdicts)
    return next(v for v in (Verdict.NOT_ALLOWED, Verdict.UNCLEAR, Verdict.ALLOWED) if v in found)
