"""The result of a review as a JSON document, `schema: 1`.

Reports are made from this document alone, by modules that import the standard library only: the workflow that
writes the comment runs them without an installation, on a file that a pull request's code wrote. `read`
therefore trusts nothing: it checks every field against the types below. Fields may be added under the same
`schema`, each with a default; a reader ignores those it does not know. docs/review.schema.json is the same as
a JSON schema.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from loraserve.errors import UserError
from loraserve.review.difference import Json
from loraserve.review.finding import Category

SCHEMA = 1
#: Larger amounts are no prices.
_MAX_NUMBER = 1e12
_REMEDY = "write the document again, with `python -m loraserve review --format json` of the same version"

LevelName = Literal["NOISE", "ROUTINE", "ROLLOVER", "REVIEW", "BLOCK"]
Verdict = Literal["NOTHING", "ROUTINE", "ROLLOVER", "REVIEW", "BLOCK"]
Gate = Literal["block", "review", "never"]


class DocumentError(UserError):
    """A text that is no document of a review."""


@dataclass(frozen=True, kw_only=True)
class ComparedSide:
    """One of the two sides."""

    name: str
    """E.g. the name of a branch, or a folder."""
    commit: str
    """Empty if it is not known."""


@dataclass(frozen=True, kw_only=True)
class ReportedResource:
    """A resource that a finding is about."""

    stack: str
    logical_id: str
    type: str
    path: str
    """Path of its construct, e.g. `Prod/Serving/Endpoint`."""


@dataclass(frozen=True, kw_only=True)
class ReportedFinding:
    """One statement about a stage."""

    id: str
    """Stable: stage, rule and the things concerned, hashed."""
    stage: str
    """Name of the stage file, e.g. `prod`; empty for what all stages share."""
    category: Category
    rule: str
    level: LevelName
    accepted: bool
    """Whether its category was accepted."""
    title: str
    consequence: str
    action: str
    details: tuple[str, ...]
    resources: tuple[ReportedResource, ...]
    before: Json
    """The value on the base; a long one is replaced by its length."""
    after: Json


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """One stage in the report's table."""

    id: str
    """E.g. `Prod`."""
    name: str
    verdict: Verdict
    """Level of its gravest finding; `NOTHING` if there is none but of form."""
    requests: str
    """Service of the requests during the update; `=` without one."""
    facts_known: bool
    """Whether both sides have a facts file; without one, adapters and cost are not compared."""
    usd_month_most_before: float | None
    """None if it is not known."""
    usd_month_most_after: float | None


@dataclass(frozen=True, kw_only=True)
class AdapterEntry:
    """A changed entry of an adapter manifest."""

    stage: str
    name: str
    what: str
    """E.g. `added`."""
    before: str | None
    after: str | None


@dataclass(frozen=True, kw_only=True)
class ReviewDocument:
    """The document."""

    schema: Literal[1]
    base: ComparedSide
    head: ComparedSide
    has_heads_packages: bool
    """Whether the base was synthesized with the head's packages: changes of libraries are not shown."""
    notes: tuple[str, ...]
    """Other limits of this comparison."""
    stages: tuple[StageResult, ...]
    findings: tuple[ReportedFinding, ...]
    """The gravest of each stage first; those of form (`NOISE`) are included."""
    hidden: int
    """Changes of form: differences of the assemblies that mean nothing."""
    adapters: tuple[AdapterEntry, ...]
    diff: str
    """CloudFormation's own diff, as `cdk diff` prints it."""
    prices_date: str | None
    """Year and month of the prices."""
    fail_on: Gate
    """The least level that fails the check."""
    accepted: tuple[Category, ...]
    """Accepted categories."""
    exit_code: Literal[0, 3]


def write(document: ReviewDocument) -> str:
    """Return the document as JSON."""
    return json.dumps(asdict(document), indent=1)


def read(text: str) -> ReviewDocument:
    """Return the document that a JSON text has; raises `DocumentError` for any other text."""
    try:
        found: ReviewDocument = _value(ReviewDocument, json.loads(text), "document")
    except (ValueError, RecursionError) as error:  # not JSON, or nested without end
        raise DocumentError(f"not JSON ({error}); {_REMEDY}") from error
    return found


def _value(kind: Any, value: Json, where: str) -> Any:
    """Return `value` as the type `kind`; raises `DocumentError` if it is another."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(value, dict):
        return _record(kind, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], each, f"{where}[{number}]") for number, each in enumerate(value))
    if origin is UnionType:
        [wanted] = [each for each in arguments if each is not NoneType]
        return None if value is None else _value(wanted, value, where)
    if kind is float and type(value) in (int, float) and abs(value) < _MAX_NUMBER:
        return float(value)
    is_listed = any(type(value) is type(each) and value == each for each in arguments)
    if kind is Any or (is_listed if origin is Literal else type(value) is kind and kind is not float):
        return value
    wanted = " or ".join(map(repr, arguments)) if origin is Literal else getattr(kind, "__name__", "list")
    raise DocumentError(f"{where}: {wanted} is wanted; {_REMEDY}")


def _record(kind: Any, value: dict[str, Json], where: str) -> Any:
    types = _types(kind)
    missing = [each.name for each in fields(kind) if each.default is MISSING and each.name not in value]
    if missing:
        raise DocumentError(f"{where}: {', '.join(missing)} is missing; {_REMEDY}")
    return kind(
        **{
            each.name: _value(types[each.name], value[each.name], f"{where}.{each.name}")
            for each in fields(kind)
            if each.name in value
        }
    )


@cache
def _types(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
