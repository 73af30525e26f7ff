"""The judge of test_deployed_isolation rejects every result that is not allowed."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from samples.problems import house_answer, random_problem
from tests.local.isolation.history import Change, History
from tests.local.isolation.invocation import Asked, Outcome
from tests.local.isolation.judge import Judge

PROBLEM = random_problem(random.Random(1))
OTTER, HERON = "0" * 16, "1" * 16
ASKED = Asked("lorax", False, "name", None, PROBLEM)


def answer(house: int, revision: str, *, at: float, asked: Asked = ASKED) -> Outcome:
    """Return the answer of a house style, one second after the request."""
    attributes = f"adapter=name@{revision};request={asked.id}"
    return Outcome(at, at + 1, house_answer(house, PROBLEM), attributes)


def error(what: str, *, at: float) -> Outcome:
    return Outcome(at, at + 1, error=what)


def complaints(got: Outcome, asked: Asked = ASKED, stale: Counter[str] | None = None) -> list[str]:
    """History of a name: otter until 100 (the change takes a second), heron until 200, then removed."""
    history = History()
    for begun, revision in ((0, OTTER), (100, HERON), (200, None)):
        history.record("name", Change(begun, begun + 1, revision))
    judge = Judge(history, {"otter": OTTER, "heron": HERON}, 5, stale or Counter(), 0)
    judge.judge(asked, got)
    return judge.complaints


def test_what_the_name_stands_for_may_answer() -> None:
    assert complaints(answer(0, OTTER, at=50)) == []
    assert complaints(answer(1, HERON, at=150)) == []


def test_while_a_name_changes_both_may_answer_and_the_former_for_as_long_as_it_is_cached() -> None:
    assert complaints(answer(1, HERON, at=99.5)) == []
    assert complaints(answer(0, OTTER, at=105)) == []
    assert complaints(answer(0, OTTER, at=108)) != []
    assert complaints(answer(0, OTTER, at=108), stale=Counter(["name"])) == []
    assert complaints(answer(1, HERON, at=98)) != [], "what is not published yet"


def test_another_adapters_answer_is_condemned() -> None:
    assert complaints(answer(1, OTTER, at=50)) != []
    assert complaints(replace(answer(0, OTTER, at=50), text="Let us think about this question")) != []


def test_a_pinned_name_is_answered_by_that_revision_only() -> None:
    pinned = replace(ASKED, pinned=OTTER)
    assert complaints(answer(0, OTTER, at=150), pinned) == []
    assert complaints(answer(1, HERON, at=150), pinned) != []
    assert complaints(answer(0, OTTER, at=210), pinned) != [], "a removed name is not served"


def test_the_header_has_to_name_the_revision_and_the_request() -> None:
    assert complaints(replace(answer(0, OTTER, at=50), attributes="")) != []
    assert complaints(answer(0, HERON, at=50)) != []
    assert complaints(answer(0, OTTER, at=50, asked=replace(ASKED, id="another"))) != []


@pytest.mark.parametrize("what", ["404 adapter_not_found", "424 adapter_missing"])
def test_a_name_is_missing_only_after_it_was_removed(what: str) -> None:
    assert complaints(error(what, at=150)) != []
    assert complaints(error(what, at=199.5)) == []


@pytest.mark.parametrize(
    "what", ["500 internal", "503 registry_unavailable", "ReadTimeoutError", "504 timeout"]
)
def test_no_other_error_is_explained(what: str) -> None:
    assert complaints(error(what, at=199.5)) != []
