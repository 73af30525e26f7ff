"""Inclusion of IAM's text patterns: `*` is any text, `?` any one character.

A placeholder `<…>` and a policy variable `${…}` are one unit whose text is not known: only `*` or the same
unit includes it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

_UNIT = re.compile(r"<[^<>]*>|\$\{[^}]*\}|.", re.DOTALL)
#: Literal characters below which a pattern with wildcards names nothing in particular, as in `*a*`.
_TOO_FEW = 3


def units(text: str) -> tuple[str, ...]:
    """Split into characters, placeholders and variables."""
    return tuple(_UNIT.findall(text))


@lru_cache(maxsize=100_000)
def includes(wide: str, narrow: str) -> bool:
    """Return whether each text that matches `narrow` matches `wide`, as far as it can be proven.

    A wildcard of `narrow` is included by an equal or wider one alone. A `*` that does not end its part of an
    ARN matches no colon: IAM says this of wildcards within ARNs, and where it does match, inclusion holds
    all the more.
    """
    if wide == narrow:
        return True
    pattern = units(wide)
    reached = {0}
    reached |= _after_stars(pattern, reached)
    for unit in units(narrow):
        reached = {
            following
            for at in reached
            if at < len(pattern)
            for following in ((at,) if pattern[at] == "*" else (at + 1,))
            if _unit_includes(pattern, at, unit)
        }
        # A star of the narrow one is equal to one of the wide one: it may also be its last unit.
        reached |= _after_stars(pattern, reached)
        if not reached:
            return False
    return len(pattern) in reached


def _unit_includes(pattern: tuple[str, ...], at: int, unit: str) -> bool:
    if pattern[at] == "*":
        ends_part = at + 1 == len(pattern) or pattern[at + 1] == ":"
        return (
            ends_part
            or unit in ("*", "?")
            or (unit != ":" and len(unit) == 1)
            or unit in ("<account>", "<region>")
        )
    if pattern[at] == "?":
        return len(unit) == 1 and unit not in ("*", ":")
    return pattern[at] == unit and unit != "*"


def _after_stars(pattern: tuple[str, ...], reached: set[int]) -> set[int]:
    """Return the positions reached when stars match nothing."""
    found = set()
    for start in reached:
        at = start
        while at < len(pattern) and pattern[at] == "*":
            at += 1
            found.add(at)
    return found


@lru_cache(maxsize=100_000)
def disjoint(one: str, other: str) -> bool:
    """Return whether no text matches both patterns, as far as it can be proven."""
    first, second = (tuple("*" if len(unit) > 1 else unit for unit in units(each)) for each in (one, other))
    # Classic product of two automata: pairs of positions that a common text can reach.
    reached, todo = set(), [(0, 0)]
    while todo:
        at = todo.pop()
        if at in reached:
            continue
        reached.add(at)
        i, j = at
        left = first[i] if i < len(first) else None
        right = second[j] if j < len(second) else None
        if left == "*":
            todo.append((i + 1, j))
            if right is not None:
                todo.append((i, j + 1))
        if right == "*":
            todo.append((i, j + 1))
            if left is not None:
                todo.append((i + 1, j))
        if (
            left is not None
            and right is not None
            and "*" not in (left, right)
            and (left == right or "?" in (left, right))
        ):
            todo.append((i + 1, j + 1))
    return (len(first), len(second)) not in reached


def is_unrestricted(pattern: str) -> bool:
    """Return whether a resource pattern names nothing in particular: `*`, `arn:aws:s3:::*`, `…:role/*`.

    So does `*a*`, and an unresolved value that may be `*`.
    """
    if may_be_anything(pattern):
        return True
    if "*" not in pattern and "?" not in pattern:
        return False
    parts = arn_parts(pattern)
    if parts is None:
        return not pattern.startswith("<")  # fewer parts than an ARN: its wildcards stand for the others
    resource = parts[5]
    if parts[3] or parts[4]:  # not S3, whose resources have no type
        resource = re.sub(r"^[a-z-]+[/:](?=.)", "", resource)
    return _literals(resource) < _TOO_FEW


def is_whole_service(action: str) -> bool:
    """Return whether an action pattern has all actions of a service, or actions of more than one."""
    service, colon, name = action.partition(":")
    if may_be_anything(action) or (not colon and ("*" in action or "?" in action)):
        return True
    if "*" in service or "?" in service:
        return True
    return ("*" in name or "?" in name) and _literals(name) < _TOO_FEW


def may_be_anything(text: str) -> bool:
    """Return whether an unresolved value may be `*`."""
    return "<[" in text and '"*' in text


def _literals(text: str) -> int:
    return sum(_TOO_FEW if len(unit) > 1 else int(unit.isalnum()) for unit in units(text))


def arn_parts(text: str) -> list[str] | None:
    """Return the six parts of an ARN; None for another text."""
    found = units(text)
    colons = [at for at, unit in enumerate(found) if unit == ":"][:5]
    if len(colons) < 5:
        return None
    edges = [-1, *colons, len(found)]
    return ["".join(found[start + 1 : end]) for start, end in pairwise(edges)]
