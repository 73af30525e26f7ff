"""Results in columns."""

from array import array

import pytest

from loraserve.load.result import LoadOutcome, RequestResult
from loraserve.load.result_table import ResultTable

RESULTS = [
    RequestResult(
        7, 0.5, 0.6, first_token_s=0.7, ended_s=1.5, token_gaps_s=array("f", [0.25, 0.5]), input_tokens=3,
        output_tokens=3, tokens_from_usage=True, answered_by="otter@1", text="a",
    ),
    RequestResult(2, 0.1, 0.1, ended_s=0.2, outcome=LoadOutcome.CUT, message="cut"),
    RequestResult(3, 0.1, 0.1, ended_s=0.3, token_gaps_s=array("f", [0.125]), answered_by="otter@1", text=""),
    RequestResult(4, 0.1, 0.1, ended_s=0.3, input_tokens=0, answered_by="heron@2"),
]  # fmt: skip


@pytest.fixture
def table() -> ResultTable:
    filled = ResultTable()
    for result in RESULTS:
        filled.append(result)
    return filled


def test_results_are_read_as_they_were_appended(table: ResultTable) -> None:
    assert len(table) == 4
    assert list(table) == RESULTS
    assert [table[place] for place in range(4)] == RESULTS
    assert table[-1] == RESULTS[-1]
    assert table[1:3] == RESULTS[1:3]
    with pytest.raises(IndexError):
        table[4]


def test_results_are_sorted_by_index(table: ResultTable) -> None:
    table.sort()

    assert list(table) == [*RESULTS[1:], RESULTS[0]]
    assert table[3].token_gaps_s == RESULTS[0].token_gaps_s


def test_an_empty_table() -> None:
    table = ResultTable()
    table.sort()

    assert list(table) == []
