"""The plan of a promotion as a Markdown page, for those who approve it."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.check_report import MARKS, summary_line
from loraserve.promotion.checks.catalog import Examination, PlannedPromotion
from loraserve.promotion.checks.order import commits_since
from loraserve.review.report.inert import cell
from loraserve.review.report.inert import markdown as inert
from loraserve.review.report.markdown import SUMMARY_BUDGET, markdown
from stacks.project import ROOT

PLAN_FILE = "plan.md"
#: Commits of the page, and characters of a text.
_COMMITS, _CELL = 50, 2_000


def plan_page(plan: PlannedPromotion, examination: Examination) -> str:
    """Make the page: the checks, the commits since the current record, the review."""
    return "\n".join(_lines(plan, examination)) + "\n"


def _lines(plan: PlannedPromotion, examination: Examination) -> Iterator[str]:
    release = plan.opened.release
    yield f"## {plan.stage.name}: release {release.release}"
    yield ""
    yield f"Commit {release.commit}, SHA-256 `{release.tar_sha256}`."
    yield ""
    yield "| | check | found |"
    yield "|---|---|---|"
    for _, finding in examination.lines:
        text = f"{finding.found} → {finding.remedy}" if finding.remedy else finding.found
        yield f"| {MARKS[finding.state][0]} | {cell(finding.check, _CELL)} | {cell(text, _CELL)} |"
    yield ""
    yield summary_line(examination.lines)
    current = None if plan.ledger is None else plan.ledger.current()
    commits = commits_since(release, current, ROOT)
    if commits:
        yield ""
        yield f"Commits since what is deployed ({len(commits)}):"
        yield ""
        yield from (f"- {inert(commit, _CELL)}" for commit in commits[:_COMMITS])
        if len(commits) > _COMMITS:
            yield f"- and {len(commits) - _COMMITS} more"
    if examination.review is not None:
        yield ""
        yield markdown(examination.review, budget=SUMMARY_BUDGET // 2)
