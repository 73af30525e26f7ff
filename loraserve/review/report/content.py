"""The content of a report in the order in which it is read; the renderers add its form.

The first screen has at most `SCREEN` lines: the title with the worst stage first, a row for each stage that
changes, and the open findings, the gravest first. What follows is folded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from loraserve.review.document import LevelName, ReportedFinding, ReviewDocument, StageResult
from loraserve.review.finding import CATEGORIES, MAX_TITLE
from loraserve.review.report.inert import plain

#: Lines of the first screen.
SCREEN = 12
#: Open findings on it.
MAX_OPEN = 8
_MIN_OPEN = 3
#: Stages in the table; the title has `_MAX_NAMES`.
_MAX_ROWS = 5
_MAX_NAMES = 8
#: Characters of a stage's name, so that no name moves a title off the line.
_MAX_NAME = 30
#: Lines of details below a finding.
_MAX_DETAILS = 40
COLUMNS = ("stage", "verdict", "requests meanwhile", "adapters", "USD/month (most)", "access")

#: From the gravest; only what a reviewer decides is in capitals.
WORDS = {
    "BLOCK": "BLOCK",
    "REVIEW": "REVIEW",
    "ROLLOVER": "rollover",
    "ROUTINE": "routine",
    "NOTHING": "nothing",
}
_RANKS = {level: rank for rank, level in enumerate([*WORDS, "NOISE"])}
OPEN: tuple[LevelName, ...] = ("BLOCK", "REVIEW")
_ELSE: tuple[LevelName, ...] = ("ROLLOVER", "ROUTINE")


@dataclass(frozen=True, kw_only=True)
class GroupedFinding:
    """A finding with the stages that have it."""

    finding: ReportedFinding
    stages: tuple[str, ...]

    @property
    def line(self) -> str:
        """Level, stages and title."""
        level = WORDS[self.finding.level] + (" (accepted)" if self.finding.accepted else "")
        return f"{level} {_names(self.stages)}: {plain(self.finding.title, MAX_TITLE)}"

    @property
    def below(self) -> tuple[str, ...]:
        """A title that the line cuts, consequence and action."""
        whole = self.finding.title if len(self.finding.title) > MAX_TITLE else ""
        action = self.finding.action and f"→ {self.finding.action}"
        return tuple(each for each in (whole, self.finding.consequence, action) if each)


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A part of the report that is collapsed where the form can."""

    title: str
    form: Literal["list", "table", "code"]
    rows: tuple[tuple[str, ...], ...]
    """Of a list: the line, and those below it. Of a table: its cells. Of code: one line."""
    header: tuple[str, ...] = ()


def grouped(document: ReviewDocument, levels: tuple[LevelName, ...]) -> list[GroupedFinding]:
    """Return the findings of these levels, the gravest first, equal ones of several stages as one.

    Those of a level are in the order of `CATEGORIES`, accepted ones last.
    """
    stages: dict[tuple[object, ...], list[ReportedFinding]] = {}
    for each in document.findings:
        if each.level in levels:
            said = (each.rule, each.level, each.title, each.consequence, each.action, each.details)
            stages.setdefault((*said, each.accepted), []).append(each)
    found = [
        GroupedFinding(finding=same[0], stages=tuple(dict.fromkeys(each.stage for each in same)))
        for same in stages.values()
    ]
    return sorted(
        found,
        key=lambda each: (
            _RANKS[each.finding.level],
            each.finding.accepted,
            CATEGORIES.index(each.finding.category),
        ),
    )


def title(document: ReviewDocument) -> str:
    """Return the verdict of each stage, the worst first."""
    parts = [
        (_RANKS[each.verdict], f"{plain(each.name, _MAX_NAME)}: {_verdict(document, each)}")
        for each in _worst_first(document.stages)[:_MAX_NAMES]
    ]
    more = len(document.stages) - len(parts)
    shared = [each for each in grouped(document, (*OPEN, *_ELSE)) if each.stages == ("",)]
    if all(each.verdict == "NOTHING" for each in document.stages):
        parts, more = [(_RANKS["NOTHING"], "no stage changes")], 0
    if shared:
        worst = shared[0].finding
        mark = " (accepted)" if worst.accepted else ""
        parts.append((_RANKS[worst.level], f"{worst.category}: {WORDS[worst.level]}{mark}"))
    parts.sort(key=lambda part: part[0])
    names = [text for _, text in parts]
    limits = ["changes of libraries are not shown"] if document.has_heads_packages else []
    return " · ".join([*names[:_MAX_NAMES], *_rest(more + len(names[_MAX_NAMES:])), *limits])


def table(document: ReviewDocument) -> list[tuple[str, ...]]:
    """Return the rows of the stages that change, by `COLUMNS`, the worst first."""
    changed = _worst_first(each for each in document.stages if each.verdict != "NOTHING")
    rows: list[tuple[str, ...]] = [
        (
            stage.name,
            _verdict(document, stage),
            stage.requests,
            _adapters(document, stage),
            _cost(stage),
            _access(document, stage),
        )
        for stage in changed[:_MAX_ROWS]
    ]
    more = len(changed) - _MAX_ROWS
    return rows if more <= 0 else [*rows, (f"and {more:,} more", *[""] * (len(COLUMNS) - 1))]


def first_findings(document: ReviewDocument) -> tuple[list[GroupedFinding], int]:
    """Return the open findings of the first screen, and the number of those that it has no line for."""
    rows = table(document)
    used = 1 + len(document.notes) + (1 + len(rows) if rows else 0) + len(gate(document))
    found = grouped(document, OPEN)
    room = max(_MIN_OPEN, min(MAX_OPEN, SCREEN - used))
    if len(found) > room:
        # The line that counts the rest needs room as well, but for the eighth finding.
        room = max(_MIN_OPEN, min(MAX_OPEN, SCREEN - used - 1))
    return found[:room], max(0, len(found) - room)


def gate(document: ReviewDocument) -> tuple[str, ...]:
    """Return the sentence of a failed check."""
    if document.exit_code == 0:
        return ()
    levels = OPEN if document.fail_on == "review" else OPEN[:1]
    failing = [each.finding for each in grouped(document, levels) if not each.finding.accepted]
    categories = sorted({each.category for each in failing})
    return (
        f"The check fails on {' and '.join(levels)}. Accept what is meant by its category: "
        f"{', '.join(f'`--accept {each}`' for each in categories)}, "
        f"on GitHub by a label: {', '.join(f'`accept-{each}`' for each in categories)}.",
    )


def folds(document: ReviewDocument) -> list[Fold]:
    """Return the parts after the first screen, those without content left out."""
    found = grouped(document, OPEN)
    others = grouped(document, _ELSE)
    access = [each for each in [*found, *others] if each.finding.category == "access"]
    adapters = [
        (each.stage, each.name, each.what, each.before or "–", each.after or "–")
        for each in document.adapters
    ]
    diff = document.diff.splitlines()
    parts = (
        Fold(
            title=f"meaning and action ({len(found):,})",
            form="list",
            rows=tuple((each.line, *each.below, *_details(each)) for each in found),
        ),
        Fold(
            title=f"what else changes ({len(others):,})",
            form="list",
            rows=tuple((each.line, *each.below, *_details(each)) for each in others),
        ),
        Fold(
            title=f"adapters ({len(adapters):,})",
            form="table",
            rows=tuple(adapters),
            header=("stage", "adapter", "change", "before", "after"),
        ),
        Fold(
            title=f"access, statement by statement ({len(access):,})",
            form="list",
            rows=tuple((each.line, *_limited(each.finding.details)) for each in access),
        ),
        Fold(
            title=f"CloudFormation's own diff ({len(diff):,} lines)",
            form="code",
            rows=tuple((line,) for line in diff),
        ),
    )
    return [part for part in parts if part.rows]


def footer(document: ReviewDocument) -> str:
    """Return the line with the sides, and what the report leaves out."""
    base, head = (
        f"{side} `{each.commit[:7]}` ({each.name})" if each.commit else f"{side} {each.name}"
        for side, each in (("base", document.base), ("head", document.head))
    )
    parts = [base, head]
    if document.hidden:
        forms = "change of form" if document.hidden == 1 else "changes of form"
        parts.append(f"{document.hidden:,} {forms} hidden")
    if document.prices_date is not None:
        parts.append(f"prices of {document.prices_date}")
    if document.accepted:
        parts.append(f"accepted: {', '.join(document.accepted)}")
    return " · ".join(parts)


def _details(each: GroupedFinding) -> tuple[str, ...]:
    """Return the details; those about access have a part for themselves."""
    return () if each.finding.category == "access" else _limited(each.finding.details)


def _limited(lines: tuple[str, ...]) -> tuple[str, ...]:
    more = len(lines) - _MAX_DETAILS
    return lines if more <= 0 else (*lines[:_MAX_DETAILS], f"and {more:,} more lines")


def _worst_first(stages: Iterable[StageResult]) -> list[StageResult]:
    return sorted(stages, key=lambda each: _RANKS[each.verdict])


def _verdict(document: ReviewDocument, stage: StageResult) -> str:
    decisive = [
        each for each in document.findings if each.stage == stage.name and each.level == stage.verdict
    ]
    accepted = bool(decisive) and all(each.accepted for each in decisive)
    return WORDS[stage.verdict] + (" (accepted)" if accepted else "")


def _adapters(document: ReviewDocument, stage: StageResult) -> str:
    changed = [each for each in document.adapters if each.stage == stage.name]
    added = sum(each.before is None and each.after is not None for each in changed)
    removed = sum(each.after is None and each.before is not None for each in changed)
    counts = ((added, f"+{added:,}"), (removed, f"−{removed:,}"))
    parts = [text for count, text in counts if count]
    others = len(changed) - added - removed
    shown = [" ".join(parts)] if parts else []
    if others:
        shown.append(f"{others:,} changed")
    if shown:
        return ", ".join(shown)
    return "=" if stage.adapters_known else "not known"


def _cost(stage: StageResult) -> str:
    before, after = stage.usd_month_most_before, stage.usd_month_most_after
    if after is None:
        return "not known"
    if before is None:
        return f"{after:,.0f} (base: not known)"
    if round(after) == round(before):
        return "="
    return f"{'+' if after > before else '−'}{abs(after - before):,.0f} ({before:,.0f} → {after:,.0f})"


def _access(document: ReviewDocument, stage: StageResult) -> str:
    """Count the findings about access by their rules, the gravest first."""
    counts = Counter(
        each.rule.partition(".")[2]
        for each in document.findings
        if each.stage == stage.name and each.category == "access" and each.level != "NOISE"
    )
    return ", ".join(f"{rule}: {count:,}" for rule, count in counts.items()) or "="


def _names(stages: tuple[str, ...]) -> str:
    names = [plain(each, _MAX_NAME) or "all stages" for each in stages]
    return ", ".join([*names[:_MAX_NAMES], *_rest(len(names) - _MAX_NAMES)])


def _rest(more: int) -> list[str]:
    return [f"and {more:,} more"] if more > 0 else []
