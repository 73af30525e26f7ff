"""Each change of the corpus has the findings that it must have, and the whole corpus holds the bars."""

from collections import Counter
from collections.abc import Mapping
from statistics import median

import pytest

from loraserve.review.finding import CATEGORIES, Level, ReviewFinding
from tests.review.changes import Change, corpus, open_findings, verdict

CHANGES = corpus()
#: A category of changes that need no expectation.
_NOT_HERE = {"form"}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_has_its_findings(change: Change, reviews: Mapping[str, list[ReviewFinding]]) -> None:
    problems = change.problems(reviews[change.name])
    assert not problems, f"{change.name} ({change.why}):\n" + "\n".join(
        [
            *problems,
            "found:",
            *(f"  {each.level.name} {each.rule}: {each.title}" for each in reviews[change.name]),
        ]
    )


def test_the_corpus_is_large_enough() -> None:
    kinds = Counter(change.kind for change in CHANGES)
    assert len(CHANGES) >= 100
    assert kinds["dangerous"] >= 40
    assert kinds["ordinary"] >= 25
    assert kinds["harmless"] >= 20
    assert len({change.name for change in CHANGES}) == len(CHANGES)
    rules = {rule for change in CHANGES for rule in change.expected}
    assert {rule.partition(".")[0] for rule in rules} == {*CATEGORIES} - _NOT_HERE


def test_no_dangerous_change_is_missed(reviews: Mapping[str, list[ReviewFinding]]) -> None:
    missed = [
        change.name
        for change in CHANGES
        if change.kind == "dangerous"
        and not (
            verdict(reviews[change.name]) >= Level.REVIEW
            and verdict(reviews[change.name]) >= Level[change.verdict.removesuffix("+")]
        )
    ]
    assert not missed


def test_at_most_one_harmless_change_raises_an_alarm(reviews: Mapping[str, list[ReviewFinding]]) -> None:
    alarms = [
        change.name for change in CHANGES if change.kind == "harmless" and open_findings(reviews[change.name])
    ]
    assert len(alarms) <= 1, alarms


def test_a_pair_has_few_open_findings(reviews: Mapping[str, list[ReviewFinding]]) -> None:
    counts = {name: len(open_findings(found)) for name, found in reviews.items()}
    assert median(counts.values()) <= 1
    many = {change.name for change in CHANGES if change.open > 5}
    assert {name: count for name, count in counts.items() if count > 5 and name not in many} == {}
    assert len(many) <= 5
