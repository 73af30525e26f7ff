"""A review: two sides are read, compared and judged; the result is a document."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import cast

from loraserve.review import engine
from loraserve.review.adapter_changes import changes_between, published
from loraserve.review.assembly import AssemblyError, CloudAssembly, read_assembly
from loraserve.review.comparison import StageComparison, compare
from loraserve.review.costs import estimate_of
from loraserve.review.difference import Json, Kind
from loraserve.review.document import (
    AdapterEntry,
    ComparedSide,
    Gate,
    LevelName,
    ReportedFinding,
    ReportedResource,
    ReviewDocument,
    StageResult,
    Verdict,
)
from loraserve.review.finding import Category, Level, ReviewFinding
from loraserve.review.rules.rollover import requests_meanwhile
from loraserve.review.rules.tooling import tooling_findings
from loraserve.review.sides import Side
from loraserve.review.stock_diff import stock_diff

#: The least level that fails the check.
_GATES: dict[Gate, int] = {"block": Level.BLOCK, "review": Level.REVIEW, "never": Level.BLOCK + 1}
#: Characters of a value in the document, and of CloudFormation's own diff.
_MAX_VALUE, _MAX_DIFF = 2_000, 1_000_000

NO_FACTS = "Not both sides have a facts file, so not all is known of the base."
NO_TOOLING = "Packages and feature flags of the two sides are not compared."


def review(
    before: Side,
    after: Side,
    *,
    fail_on: Gate = "block",
    accepted: Collection[Category] = (),
) -> ReviewDocument:
    """Compare two sides; raises `AssemblyError`, which names the side."""
    old, new = _read("base", before), _read("head", after)
    changes = compare(old, new)
    entries = {change.id: _adapters(change) for change in changes}
    found = {change.id: engine.findings(change) for change in changes}
    shared = _tooling(before, after)
    reported = [
        _reported(finding, change, accepted) for change in changes for finding in found[change.id]
    ] + [_reported(finding, None, accepted) for finding in shared]
    failing = [
        finding
        for finding in [*shared, *(each for all_found in found.values() for each in all_found)]
        if finding.level >= _GATES[fail_on] and finding.category not in accepted
    ]
    return ReviewDocument(
        schema=1,
        base=ComparedSide(name=before.name, commit=before.commit),
        head=ComparedSide(name=after.name, commit=after.commit),
        has_heads_packages=before.has_heads_packages,
        notes=tuple(_limits(before, after, changes)),
        stages=tuple(
            _stage(change, found[change.id], adapters_known=entries[change.id] is not None)
            for change in changes
        ),
        findings=tuple(_unique(reported)),
        hidden=sum(_hidden(each) for each in found.values()),
        adapters=tuple(entry for of_stage in entries.values() for entry in of_stage or ()),
        diff=_bounded_diff(stock_diff(old, new)),
        prices_date=new.prices_date,
        fail_on=fail_on,
        accepted=tuple(accepted),
        exit_code=3 if failing else 0,
    )


def _read(name: str, side: Side) -> CloudAssembly:
    try:
        found = read_assembly(side.assembly)
    except AssemblyError as error:
        raise AssemblyError(f"the {name} cannot be read: {error}") from error
    if side.only is None:
        return found
    return replace(found, stages={id: stage for id, stage in found.stages.items() if id == side.only})


def _limits(before: Side, after: Side, changes: Sequence[StageComparison]) -> Iterator[str]:
    if before.tooling is None or after.tooling is None:
        yield NO_TOOLING
    if any(change.differences and not _facts_known(change) for change in changes):
        yield NO_FACTS


def _facts_known(change: StageComparison) -> bool:
    sides = [side for side in (change.before, change.after) if side is not None]
    return all(side.facts is not None for side in sides)


def _tooling(before: Side, after: Side) -> list[ReviewFinding]:
    if before.tooling is None or after.tooling is None:
        return []
    return tooling_findings(before.tooling, after.tooling, same_packages=before.has_heads_packages)


def _stage(change: StageComparison, found: Sequence[ReviewFinding], *, adapters_known: bool) -> StageResult:
    worst = max((finding.level for finding in found), default=Level.NOISE)
    before, after = _cost(change)
    return StageResult(
        id=change.id,
        name=change.name,
        verdict=cast(Verdict, "NOTHING" if worst is Level.NOISE else worst.name),
        requests=requests_meanwhile(change),
        adapters_known=adapters_known,
        usd_month_most_before=before,
        usd_month_most_after=after,
    )


def _cost(change: StageComparison) -> tuple[float | None, float | None]:
    """Return USD per month with the most instances on both sides; what leaves the app stays and is billed."""
    old, new = estimate_of(change.facts_before), estimate_of(change.facts_after)
    before, after = (None if each is None else each.maximum for each in (old, new))
    if change.before is None:
        return 0.0, after
    return before, before if change.after is None else after


def _adapters(change: StageComparison) -> list[AdapterEntry] | None:
    """Return the changed entries of the manifest, none of a stage that leaves; None if it cannot be read."""
    if change.after is None:
        return []
    before = () if change.before is None else published(change.before)
    after = published(change.after)
    if before is None or after is None:
        return None
    return [
        AdapterEntry(
            stage=change.name,
            name=each.name,
            what=each.what.value,
            before=each.before or None,
            after=each.after or None,
        )
        for each in changes_between(before, after)
    ]


def _reported(
    finding: ReviewFinding, change: StageComparison | None, accepted: Collection[Category]
) -> ReportedFinding:
    """Return a finding of a stage, or of all of them, as the document has it."""
    category = cast(Category, finding.category)
    is_form = finding.level is Level.NOISE
    return ReportedFinding(
        id=finding.id,
        stage="" if change is None else change.name,
        category=category,
        rule=finding.rule,
        level=cast(LevelName, finding.level.name),
        accepted=category in accepted and finding.level >= Level.REVIEW,
        title=finding.title,
        consequence=finding.consequence,
        action=finding.action,
        details=finding.details,
        resources=tuple(_resources(finding, change)),
        before=None if is_form else _bounded(finding.before),
        after=None if is_form else _bounded(finding.after),
    )


def _resources(finding: ReviewFinding, change: StageComparison | None) -> Iterator[ReportedResource]:
    named = {
        (each.stack, each.subject)
        for each in finding.differences
        if each.kind in (Kind.RESOURCE, Kind.PROPERTY, Kind.ATTRIBUTE)
    }
    for each in () if change is None else change.resources:
        if (each.stack, each.logical_id) in named:
            yield ReportedResource(
                stack=each.stack, logical_id=each.logical_id, type=each.type, path=each.path
            )


def _unique(findings: Iterable[ReportedFinding]) -> Iterator[ReportedFinding]:
    """Number the findings of one rule about the same things."""
    seen: Counter[str] = Counter()
    for each in findings:
        seen[each.id] += 1
        yield each if seen[each.id] == 1 else replace(each, id=f"{each.id}-{seen[each.id]}")


def _hidden(found: Sequence[ReviewFinding]) -> int:
    """Count the differences that only findings of form explain."""
    shown = {each for finding in found if finding.level > Level.NOISE for each in finding.differences}
    return len({each for finding in found for each in finding.differences} - shown)


def _bounded(value: Json) -> Json:
    size = len(json.dumps(value))
    return value if size <= _MAX_VALUE else f"({size:,} characters of JSON)"


def _bounded_diff(diff: str) -> str:
    more = len(diff) - _MAX_DIFF
    return (
        diff if more <= 0 else f"{diff[:_MAX_DIFF]}\n(cut: {more:,} characters more; `make diff` prints them)"
    )
