"""The plan of a promotion as a Markdown page, for those who approve it."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.check_report import summary_line
from loraserve.finding import State
from loraserve.release.checks.catalog import Examination, PlannedPromotion
from loraserve.release.checks.order import commits_since
from loraserve.review.report.inert import plain
from loraserve.review.report.markdown import SUMMARY_BUDGET, markdown
from stacks.project import ROOT

PLAN_FILE = "plan.md"
_MARKS = {State.OK: "✓", State.PROBLEM: "✗", State.WARNING: "!", State.UNKNOWN: "–"}
#: Commits of the page.
_COMMITS = 50


def plan_page(plan: PlannedPromotion, examination: Examination) -> str:
    """Write the page: the checks, the commits since the current record, the review."""
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
        yield f"| {_MARKS[finding.state]} | {_cell(finding.check)} | {_cell(text)} |"
    yield ""
    yield summary_line(examination.lines)
    current = None if plan.ledger is None else plan.ledger.current()
    commits = commits_since(release, current, ROOT)
    if commits:
        yield ""
        yield f"Commits since what is deployed ({len(commits)}):"
        yield ""
        yield from (f"- {_cell(commit)}" for commit in commits[:_COMMITS])
        if len(commits) > _COMMITS:
            yield f"- and {len(commits) - _COMMITS} more"
    if examination.review is not None:
        yield ""
        yield markdown(examination.review, budget=SUMMARY_BUDGET // 2)


def _cell(text: str) -> str:
    """Return a text without any effect in a Markdown table."""
    return plain(text).replace("\n", " ")
