"""The engine loses no difference, whatever a rule does."""

from collections.abc import Iterator

import pytest

from loraserve.review import engine
from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Difference, Kind
from loraserve.review.finding import Level, ReviewFinding

CHANGED = Difference(kind=Kind.SECTION, stage="Prod", stack="Serving", subject="Transform", after="Macro")
CHANGE = StageComparison(id="Prod", before=None, after=None, differences=(CHANGED,), resources=(), impacts={})


def broken(change: StageComparison) -> Iterator[ReviewFinding]:
    """Claim a difference, and fail."""
    yield ReviewFinding(rule="form.x", level=Level.NOISE, stage=change.id, title="x", differences=(CHANGED,))
    raise TypeError("argument of type 'int' is not iterable")


def test_a_rule_that_fails_blocks_and_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "RULES", (broken,))
    failed, unknown = engine.findings(CHANGE)
    assert (failed.rule, failed.level) == ("unknown.rule", Level.BLOCK)
    assert "`broken` failed: TypeError" in failed.title
    assert any("test_engine.py" in line for line in failed.details)
    assert (unknown.level, unknown.differences) == (Level.REVIEW, (CHANGED,))
