"""Conditions of a statement, and whether one is at least as strict as another.

IAM User Guide, "IAM JSON policy elements: Condition operators" and "Single-valued vs. multivalued context
keys".
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from loraserve.review.access.patterns import arn_parts, includes, may_be_anything

#: Two names of the same test.
_SAME = {"ArnEquals": "ArnLike", "ArnNotEquals": "ArnNotLike"}
_NEGATED = re.compile(r"Not(Equals|Like|EqualsIgnoreCase|IpAddress)|^NotIpAddress")
_IF_EXISTS = "IfExists"
#: The operator of a condition of the template (`Fn::If`), which the deployment decides.
TEMPLATE = "Fn::If"

#: Keys that bind a principal to an organization, an account or a source; lower case.
_BINDING = {
    "aws:principalorgid", "aws:principalorgpaths", "aws:principalaccount", "aws:principalarn",
    "aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths", "aws:sourceowner",
    "aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:sourcevpcarn",
    "kms:calleraccount",
}  # fmt: skip
#: Shortest network prefixes of a restriction: shorter ones are most of the internet.
_PREFIX = {4: 8, 6: 32}


@dataclass(frozen=True)
class Condition:
    """One key's test; all of a statement's conditions must hold."""

    operator: str
    """Without `IfExists`; with `ForAnyValue:` or `ForAllValues:`."""
    key: str
    """In lower case: IAM compares keys without case."""
    values: frozenset[str]
    if_exists: bool = False
    """The test holds as well where the request lacks the key."""

    @property
    def is_negated(self) -> bool:
        """True if more values are stricter."""
        return _NEGATED.search(self.test) is not None

    @property
    def test(self) -> str:
        """The operator without its set prefix."""
        return self.operator.rpartition(":")[2] if self.operator != TEMPLATE else TEMPLATE

    @property
    def is_any_of_values(self) -> bool:
        """True if it is the disjunction of its values' conditions."""
        return (
            len(self.values) > 1
            and not self.is_negated
            and not self.operator.startswith("ForAllValues:")
            and self.test in ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnLike", "IpAddress")
        )

    def __str__(self) -> str:
        """Return it as in a sentence."""
        suffix = _IF_EXISTS if self.if_exists else ""
        return f"{self.key} {self.operator}{suffix} {', '.join(sorted(self.values))}"


def condition(operator: str, key: str, values: frozenset[str]) -> Condition:
    """Make a condition in canonical form."""
    prefix, _, test = operator.rpartition(":")
    if_exists = test.endswith(_IF_EXISTS)
    test = test.removesuffix(_IF_EXISTS)
    test = _SAME.get(test, test)
    if test == "Bool":
        values = frozenset(each.lower() for each in values)
    return Condition(f"{prefix}:{test}" if prefix else test, lower(key), values, if_exists)


def lower(text: str) -> str:
    """Return ASCII letters in lower case: no other letter is an equal of one to IAM."""
    return text.encode(errors="surrogatepass").lower().decode(errors="surrogatepass")


def implies(strict: Condition, loose: Condition) -> bool:
    """Return whether a request that meets `strict` meets `loose`, as far as it can be proven."""
    if strict == loose:
        return True
    if (
        strict.key != loose.key
        or (strict.if_exists and not loose.if_exists)
        or not _comparable(strict, loose)
    ):
        return False
    if strict.test in (
        "NumericLessThan",
        "NumericLessThanEquals",
        "NumericGreaterThan",
        "NumericGreaterThanEquals",
    ):
        return _limits(strict, loose)
    if strict.is_negated:
        return all(any(_includes(strict.test, one, other) for one in strict.values) for other in loose.values)
    if loose.test in ("StringEquals", "StringLike", "StringEqualsIgnoreCase", "ArnLike", "IpAddress"):
        return all(any(_includes(loose.test, one, other) for one in loose.values) for other in strict.values)
    return strict.values == loose.values


def _comparable(strict: Condition, loose: Condition) -> bool:
    if strict.operator.rpartition(":")[0] != loose.operator.rpartition(":")[0]:
        return False
    return strict.test == loose.test or (strict.test, loose.test) == ("StringEquals", "StringLike")


def _includes(test: str, wide: str, narrow: str) -> bool:
    """Return whether a value of the test matches all that another one matches."""
    if wide == narrow:
        return True
    if test.endswith("IgnoreCase"):
        return lower(wide) == lower(narrow)
    if test in ("StringLike", "StringNotLike"):
        return includes(wide, narrow)
    if test in ("ArnLike", "ArnNotLike"):
        first, second = arn_parts(wide), arn_parts(narrow)
        return first is not None and second is not None and all(map(includes, first, second))
    if test in ("IpAddress", "NotIpAddress"):
        return within_network(narrow, wide)
    return False


def _limits(strict: Condition, loose: Condition) -> bool:
    try:
        (first,), (second,) = (sorted(map(float, each.values)) for each in (strict, loose))
    except ValueError:
        return False
    return first <= second if "Less" in strict.test else first >= second


def within_network(narrow: str, wide: str) -> bool:
    """Return whether a network is part of another one."""
    try:
        inner, outer = (ipaddress.ip_network(each, strict=False) for each in (narrow, wide))
    except ValueError:
        return False
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


def is_most_of_the_internet(network: str) -> bool:
    """Return whether a network is too large for a restriction; `0.0.0.0/1` is one."""
    try:
        found = ipaddress.ip_network(network, strict=False)
    except ValueError:
        return may_be_anything(network) or any(each in network for each in ("0.0.0.0/0", "::/0"))
    return found.prefixlen < _PREFIX[found.version]


def binds(found: Condition) -> bool:
    """Return whether a condition binds everybody to an organization, an account or a source.

    A test that holds where the key is missing binds no one, and neither does a value with a wildcard where
    the account is, or a policy variable, which the request itself may fill.
    """
    if found.key not in _BINDING or found.if_exists or found.is_negated or not found.values:
        return False
    if found.operator.startswith("ForAllValues:"):
        return False
    if any("${" in value or may_be_anything(value) for value in found.values):
        return False
    if found.test == "IpAddress":
        return not any(is_most_of_the_internet(value) for value in found.values)
    if found.test not in ("StringEquals", "StringLike", "StringEqualsIgnoreCase", "ArnLike"):
        return False
    return all(_names_an_owner(found, value) for value in found.values)


def _names_an_owner(found: Condition, value: str) -> bool:
    if found.test.startswith("StringEquals") or value.startswith("<"):
        return True
    parts = arn_parts(value)
    if parts is None:
        return "*" not in value.partition("/")[0] and "?" not in value.partition("/")[0]
    owner = parts[4] or parts[5].partition("/")[0]  # an S3 ARN has a bucket's name only
    return not any(mark in owner for mark in "*?")
