"""The exit code of a promotion's checks."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from loraserve.check_report import TableLine
from loraserve.finding import Finding, State, ok, problem, unknown, warning
from loraserve.promotion.checks import catalog
from loraserve.promotion.checks.catalog import CHANGE, Examination, examine
from loraserve.promotion.checks.change import accepted_rules, check_review
from loraserve.review.document import ReviewDocument
from tests.harness.reviews import NOTHING, loss

GOOD = TableLine("Stage", ok("stacks", "4"))
BAD = TableLine("Stage", problem("stacks", "UPDATE_FAILED", "see its events"))
UNACCEPTED = TableLine(CHANGE, problem("review", "loss.data", "accept it"))


@pytest.mark.parametrize(
    ("lines", "review", "code"),
    [
        ([GOOD], NOTHING, 0),
        ([GOOD, TableLine("Account", unknown("instance quota", "not checked"))], NOTHING, 0),
        ([GOOD, TableLine("Account", warning("session", "ends soon"))], NOTHING, 0),
        ([BAD], NOTHING, 1),
        ([GOOD, UNACCEPTED], loss(), 3),
        ([GOOD], loss(accepted=True), 0),
        # What fails for another reason is not accepted.
        ([BAD, UNACCEPTED], loss(), 1),
        # What is deployed could not be read.
        ([GOOD], None, 1),
    ],
)
def test_the_exit_code(lines: list[TableLine], review: ReviewDocument | None, code: int) -> None:
    assert Examination(lines=lines, review=review).exit_code == code


def test_an_accepted_finding_is_a_warning_and_in_the_record() -> None:
    assert [(each.state, each.found.partition(":")[0]) for each in check_review(loss())] == [
        ("problem", "loss.data")
    ]
    [accepted] = check_review(loss(accepted=True))
    assert (accepted.state, accepted.found) == ("warning", "loss.data, accepted: the bucket is deleted")
    assert accepted_rules(loss(accepted=True)) == ("loss.data",) and accepted_rules(loss()) == ()


@pytest.mark.parametrize(("title", "state"), [("hold", State.PROBLEM), ("instance quota", State.UNKNOWN)])
def test_a_check_that_is_not_answered_stops_the_promotion(
    monkeypatch: pytest.MonkeyPatch, title: str, state: State
) -> None:
    def unanswered(*_: Any) -> Iterator[Finding]:
        raise EndpointConnectionError(endpoint_url="https://s3")
        yield

    monkeypatch.setattr(catalog, "_checks", lambda _: [("Stage", title, unanswered)])
    monkeypatch.setattr(catalog, "_change", lambda *_: [])
    examination = Examination(review=NOTHING)
    plan: Any = None
    [line] = examine(plan, examination)
    assert line.finding.state is state
    assert examination.exit_code == (1 if state is State.PROBLEM else 0)
