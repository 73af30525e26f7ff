"""Rights, and whether statements cover them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from loraserve.review.access.conditions import Condition, implies
from loraserve.review.access.patterns import disjoint, includes
from loraserve.review.access.statements import EVERYBODY, Names, Statement

#: Cases of a right's conditions beyond which it is not split.
_MAX_CASES = 256


@dataclass(frozen=True)
class Right:
    """One principal, one action and one resource of a statement, with its conditions."""

    principal: Names
    action: Names
    resource: Names
    conditions: frozenset[Condition]
    is_opaque: bool = False


def uncovered(wanted: Iterable[Statement], given: Iterable[Statement], *, allows: bool) -> list[Right]:
    """Return the rights of the `wanted` statements of an effect that no `given` one has, without repetition.

    For what is allowed, `wanted` is the head and `given` the base; for what is denied, the reverse.
    """
    covering = [each for each in given if each.allows is allows]
    found: dict[Right, None] = {}
    for right in (right for each in wanted if each.allows is allows for right in _rights(each)):
        if not _covered(right, covering):
            found |= dict.fromkeys(each for each in _cases(right) if not _covered(each, covering))
    return list(found)


def _rights(statement: Statement) -> Iterator[Right]:
    for principal, action, resource in product(
        _single(statement.principals), _single(statement.actions), _single(statement.resources)
    ):
        yield Right(principal, action, resource, statement.conditions, statement.is_opaque)


def _single(names: Names) -> list[Names]:
    if names.negated:
        return [names]
    return [Names(frozenset({each})) for each in sorted(names.patterns)]


def _cases(right: Right) -> list[Right]:
    """Split a right by the values of its conditions: any one of them is enough."""
    several = sorted((each for each in right.conditions if each.is_any_of_values), key=str)
    if not several or prod(len(each.values) for each in several) > _MAX_CASES:
        return [right]
    others = right.conditions - set(several)
    return [
        replace(right, conditions=others | set(case))
        for case in product(
            *([replace(each, values=frozenset({value})) for value in sorted(each.values)] for each in several)
        )
    ]


def _covered(right: Right, statements: Sequence[Statement]) -> bool:
    return any(
        _principals_within(right.principal, each.principals)
        and _within(right.action, each.actions)
        and _within(right.resource, each.resources)
        and all(any(implies(own, other) for own in right.conditions) for other in each.conditions)
        for each in statements
    )


def _within(narrow: Names, wide: Names) -> bool:
    """Return whether all that `narrow` names is named by `wide`, as far as it can be proven."""
    match narrow.negated, wide.negated:
        case False, False:
            return all(any(includes(each, pattern) for each in wide.patterns) for pattern in narrow.patterns)
        case True, True:
            return all(any(includes(each, pattern) for each in narrow.patterns) for pattern in wide.patterns)
        case False, True:
            return all(disjoint(each, pattern) for each in wide.patterns for pattern in narrow.patterns)
    return "*" in wide.patterns


def _principals_within(narrow: Names, wide: Names) -> bool:
    """Compare principals: IAM knows no pattern here, only everybody."""
    match narrow.negated, wide.negated:
        case False, False:
            return all(
                each in wide.patterns or (EVERYBODY in wide.patterns and each.startswith("AWS:"))
                for each in narrow.patterns
            )
        case True, True:
            return wide.patterns <= narrow.patterns
    return False
