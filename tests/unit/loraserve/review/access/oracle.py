"""IAM's evaluation of single requests, written apart from the product: what it allows is counted out."""

import re
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

PRINCIPALS = (
    "AWS:arn:aws:iam::<account>:root",
    "AWS:arn:aws:iam::999988887777:root",
    "Service:sns.amazonaws.com",
)
ACTIONS = ("s3:GetObject", "s3:GetObjects", "s3:PutObject", "kms:Decrypt")
RESOURCES = (
    "arn:aws:s3:::b/a/x",
    "arn:aws:s3:::b/b/x",
    "arn:aws:s3:::b",
    "arn:aws:s3:::c/a/x",
    "arn:aws:s3:::c:a",
)
#: Values of the one context key in a request; a key may have several.
CONTEXTS: tuple[tuple[str, ...], ...] = ((), ("a",), ("b",), ("ab",), ("a", "b"))

Request = tuple[str, str, str, tuple[str, ...]]


def allowed(document: dict[str, Any]) -> set[Request]:
    """Return all requests of the universe that the policy allows."""
    found: dict[str, set[Request]] = {"Allow": set(), "Deny": set()}
    for each in document["Statement"]:
        found[each["Effect"]] |= _requests(each)
    return found["Allow"] - found["Deny"]


def _requests(statement: dict[str, Any]) -> set[Request]:
    """Return the requests that a statement applies to."""
    conditions = statement.get("Condition", {}).items()
    contexts = [
        each
        for each in CONTEXTS
        if all(
            _holds(operator, [values] if isinstance(values, str) else values, each)
            for operator, tests in conditions
            for values in tests.values()
        )
    ]
    principals = _named(statement, "Principal", PRINCIPALS, _is)
    actions = _named(
        statement, "Action", ACTIONS, lambda value, action: _matches(value.lower(), action.lower())
    )
    return set(product(principals, actions, _named(statement, "Resource", RESOURCES, _matches), contexts))


def _named(
    statement: dict[str, Any], key: str, universe: Sequence[str], matches: Callable[[Any, str], bool]
) -> list[str]:
    negated = f"Not{key}" in statement
    values = statement[f"Not{key}" if negated else key]
    listed = [values] if isinstance(values, str | dict) else values
    return [each for each in universe if any(matches(value, each) for value in listed) is not negated]


def _is(value: Any, principal: str) -> bool:
    if value in ("*", {"AWS": "*"}):
        return True
    ((kind, name),) = value.items()
    return any(principal == f"{kind}:{each}" for each in ([name] if isinstance(name, str) else name))


def _matches(pattern: str, text: str) -> bool:
    regex = "".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern)
    return re.fullmatch(regex, text) is not None


def _holds(operator: str, values: list[str], context: tuple[str, ...]) -> bool:
    if operator == "Null":
        return (not context) is (values == ["true"])
    quantifier, _, test = operator.rpartition(":")
    if test.endswith("IfExists"):
        if not context:
            return True
        test = test.removesuffix("IfExists")
    compare = {
        "StringEquals": lambda one: one in values,
        "StringNotEquals": lambda one: one not in values,
        "StringLike": lambda one: any(_matches(each, one) for each in values),
        "StringNotLike": lambda one: not any(_matches(each, one) for each in values),
    }[test]
    if quantifier == "ForAllValues":
        return all(map(compare, context))
    if quantifier == "ForAnyValue":
        return any(map(compare, context))
    if not context:  # a missing key: negated tests hold, others do not
        return "Not" in test
    # A key with several values is compared value by value where the operator has no quantifier.
    return all(map(compare, context)) if "Not" in test else any(map(compare, context))
