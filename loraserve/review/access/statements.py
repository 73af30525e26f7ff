"""Statements of a policy document in canonical form.

`Sid`, order, the case of actions, and whether a value is a list or alone make no difference.
"""

from __future__ import annotations

import json
import re
from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from loraserve.review.access.conditions import TEMPLATE, Condition, condition, lower
from loraserve.review.access.patterns import units
from loraserve.review.access.text import NO_VALUE
from loraserve.review.difference import Json

#: Everybody: `"*"` and `{"AWS": "*"}` are equal (IAM User Guide, "AWS JSON policy elements: Principal").
EVERYBODY = "*"
#: Principal of an identity's policy, and resource of a trust policy: the one that has the policy.
ITSELF = "<itself>"
#: `Fn::If` within one statement beyond which it is not split into its cases.
_MAX_CASES = 6
_KEYS = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource",
    "Condition",
}  # fmt: skip


@dataclass(frozen=True)
class Names:
    """Principals, actions or resources: those that match a pattern, or with `negated` all others."""

    patterns: frozenset[str]
    negated: bool = False

    def __str__(self) -> str:
        """Return them as in a sentence."""
        text = ", ".join(sorted(self.patterns))
        return f"everything but {text}" if self.negated else text


@dataclass(frozen=True)
class Statement:
    """One statement; everything that is written in it in several ways is equal."""

    allows: bool
    principals: Names
    actions: Names
    resources: Names
    conditions: frozenset[Condition] = frozenset()
    is_opaque: bool = False
    """It cannot be read, so that only an equal one covers it."""


def statements(document: Json, conditions: Mapping[str, Any]) -> Iterator[Statement]:
    """Yield the statements of a resolved document, or of a list of them; `conditions` are the template's."""
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except ValueError:
            yield from _opaque(document, frozenset())
            return
    for case, when in _cases(document, conditions):
        if case in (None, NO_VALUE):
            continue
        if isinstance(case, list):
            for each in case:
                for found in statements(each, conditions):
                    yield replace(found, conditions=found.conditions | when)
            continue
        if not isinstance(case, dict) or "Statement" not in case:
            yield from _opaque(case, when)
            continue
        has_variables = case.get("Version") == "2012-10-17"
        yield from _listed(case["Statement"], when, conditions, has_variables)


def _listed(
    value: Json, when: frozenset[Condition], conditions: Mapping[str, Any], has_variables: bool
) -> Iterator[Statement]:
    if isinstance(value, list):
        for each in value:
            yield from _listed(each, when, conditions, has_variables)
    elif isinstance(value, dict) and len(value) == 1 and TEMPLATE in value:
        for case, also in _cases(value, conditions):
            yield from _listed(case, when | also, conditions, has_variables)
    elif value not in (None, NO_VALUE):
        for case, also in _all_cases(value, conditions):
            yield from _statement(case, when | also, has_variables)


def _cases(value: Json, conditions: Mapping[str, Any]) -> Iterator[tuple[Json, frozenset[Condition]]]:
    """Yield the values of a `Fn::If` at the top, with the template's conditions of each."""
    if isinstance(value, dict) and len(value) == 1 and TEMPLATE in value:
        name, *both = value[TEMPLATE]
        held = conditions.get(name) if isinstance(name, str) else None
        key = f"{name} = {json.dumps(held, sort_keys=True)}"
        for each, holds in zip(both, ("true", "false"), strict=True):
            for case, when in _cases(each, conditions):
                yield case, when | {Condition(TEMPLATE, key, frozenset({holds}))}
    else:
        yield value, frozenset()


def _all_cases(
    value: Json, conditions: Mapping[str, Any], limit: int = _MAX_CASES
) -> Iterator[tuple[Json, frozenset[Condition]]]:
    """Split a statement by each `Fn::If` within it."""
    found = _first_if(value) if limit else None
    if found is None:
        yield value, frozenset()
        return
    for each, when in _cases(found, conditions):
        for case, also in _all_cases(_replaced(value, found, each), conditions, limit - 1):
            yield case, when | also


def _first_if(value: Json) -> Json:
    if isinstance(value, dict):
        if len(value) == 1 and TEMPLATE in value:
            return value
        return next((found for each in value.values() if (found := _first_if(each)) is not None), None)
    if isinstance(value, list):
        return next((found for each in value if (found := _first_if(each)) is not None), None)
    return None


def _replaced(value: Json, what: Json, by: Json) -> Json:
    if value == what:
        return by
    if isinstance(value, dict):
        return {key: new for key, each in value.items() if (new := _replaced(each, what, by)) != NO_VALUE}
    if isinstance(value, list):
        found: list[Json] = []
        for each in value:
            new = _replaced(each, what, by)
            if new == NO_VALUE:
                continue
            found += new if each == what and isinstance(new, list) else [new]
        return found
    return value


def _statement(value: Json, when: frozenset[Condition], has_variables: bool) -> Iterator[Statement]:
    try:
        yield _read(value, when, has_variables)
    except (KeyError, TypeError, ValueError):
        yield from _opaque(value, when)


def _opaque(value: Json, when: frozenset[Condition]) -> Iterator[Statement]:
    """Yield a statement that cannot be read as both, something that allows and something that denies."""
    text = json.dumps(value, sort_keys=True).replace("<", "(").replace(">", ")")
    only = Names(frozenset({f"<[{text}]>"}))
    for allows in (True, False):
        yield Statement(allows, only, only, only, when, is_opaque=True)


def _read(value: Json, when: frozenset[Condition], has_variables: bool) -> Statement:
    if not isinstance(value, dict) or not value.keys() <= _KEYS or value["Effect"] not in ("Allow", "Deny"):
        raise ValueError(value)

    def names(name: str, *, of: str | None) -> Names:
        negated = f"Not{name}" in value
        if negated and name in value:
            raise ValueError(value)
        if not negated and name not in value:
            if of is None:
                raise KeyError(name)
            return Names(frozenset({of}))
        found = value[f"Not{name}" if negated else name]
        texts = _principals(found) if name == "Principal" else _texts(found)
        if not has_variables:
            texts = (_without_variables(each) for each in texts)
        return Names(
            frozenset(lower(each) for each in texts) if name == "Action" else frozenset(texts), negated
        )

    return Statement(
        allows=value["Effect"] == "Allow",
        principals=names("Principal", of=ITSELF),
        actions=names("Action", of=None),
        resources=names("Resource", of=ITSELF),
        conditions=when | _conditions(value.get("Condition") or {}, has_variables),
    )


def _conditions(value: Json, has_variables: bool) -> frozenset[Condition]:
    found = set()
    for operator, tests in _items(value):
        if len({lower(key) for key, _ in _items(tests)}) != len(tests):
            raise ValueError(value)  # keys that differ in case alone: which one counts is not documented
        for key, values in _items(tests):
            texts = _texts(values)
            if not has_variables:
                texts = (_without_variables(each) for each in texts)
            found.add(condition(operator, key, frozenset(texts)))
    return frozenset(found)


def _items(value: Json) -> ItemsView[str, Json]:
    """Return keys and values of an object; raises `TypeError` for another value."""
    if not isinstance(value, dict):
        raise TypeError(value)
    return value.items()


def _texts(value: Json) -> Iterator[str]:
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict | list):
            raise TypeError(each)
        yield each if isinstance(each, str) else json.dumps(each)


def _principals(value: Json) -> Iterator[str]:
    """Yield principals with their kind, e.g. `Service:lambda.amazonaws.com`."""
    if isinstance(value, str):
        if value != "*":
            raise ValueError(value)
        yield EVERYBODY
        return
    for kind, names in _items(value):
        for name in _texts(names):
            if kind != "AWS":
                yield f"{kind}:{name}"
            elif name == "*":
                yield EVERYBODY
            elif re.fullmatch(r"[0-9]{12}|<account>", name):
                yield f"AWS:arn:aws:iam::{name}:root"
            else:
                yield f"AWS:{re.sub(r'^arn:aws[a-z-]*:', 'arn:aws:', name)}"


def _without_variables(text: str) -> str:
    """Mark `${…}` as plain text, which it is in documents of the version before 2012-10-17."""
    if "${" not in text:
        return text
    return "".join(f"<dollar;>{unit[1:]}" if unit.startswith("${") else unit for unit in units(text))
