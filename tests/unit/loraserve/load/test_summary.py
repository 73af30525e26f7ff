"""The figures of a run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loraserve.load.check import check_answers
from loraserve.load.percentiles import times
from loraserve.load.result import LoadOutcome, RequestResult
from loraserve.load.slo import LatencySlo, parse_slo
from loraserve.load.summary import LoadSummary, jain_index, summarize
from loraserve.workload.workload import Workload
from tests.unit.loraserve.load.made import result, workload


def summary_of(
    results: list[RequestResult], asked: Workload, slo: LatencySlo | None = None, warm_up_s: float = 0
) -> LoadSummary:
    return summarize(results, check_answers(results, asked), asked, slo=slo, warm_up_s=warm_up_s)


def test_latency_is_from_the_due_time_and_service_time_from_sending() -> None:
    found = summary_of([result(0, latency_s=1.5, lag_s=1.0)], workload([None]))
    assert found.latency_s is not None and found.service_s is not None
    assert (found.latency_s.p50, found.service_s.p50) == (1.5, 0.5)


def test_first_tokens_and_gaps_are_of_streams() -> None:
    results = [result(0, latency_s=1.0, gaps_s=[0.25, 0.25]), result(1, latency_s=9.0)]
    found = summary_of(results, workload([None, None]))
    assert found.ttft_s is not None and found.itl_s is not None
    assert (found.ttft_s.count, found.ttft_s.p50) == (1, 0.5)
    assert (found.itl_s.count, found.itl_s.mean) == (2, 0.25)


def test_goodput_counts_neither_errors_nor_wrong_answers_nor_late_ones() -> None:
    asked = workload(["otter"] * 5)
    results = [
        result(0, by="otter@1"),
        result(1, by="heron@1"),
        result(2, by="otter@1", latency_s=3.0),
        result(3, outcome=LoadOutcome.WITHHELD),
        result(4, outcome=LoadOutcome.CUT),
    ]
    found = summary_of(results, asked, parse_slo("e2e=2s"))
    assert found.goodput == pytest.approx(1 / 5)
    assert (found.errors, found.wrong) == (2, 1)
    assert found.outcomes == {"ok": 3, "withheld": 1, "stream cut off": 1}
    assert found.first_messages == {"withheld": "it failed", "stream cut off": "it failed"}
    [otter] = found.adapters
    assert (otter.requests, otter.errors, otter.wrong, otter.goodput) == (5, 2, 1, pytest.approx(0.2))


def test_the_first_request_of_each_adapter_is_cold() -> None:
    asked = workload(["otter", "otter", "heron", None, "heron"])
    results = [result(index, latency_s=index + 1.0) for index in range(5)]
    found = summary_of(results, asked)
    assert found.cold_s is not None and found.warm_s is not None
    assert (found.cold_s.count, found.cold_s.max) == (2, 3.0)
    assert (found.warm_s.count, found.warm_s.max) == (3, 5.0)


def test_a_warm_up_is_sent_and_does_not_count() -> None:
    asked = workload(["otter"] * 4)
    results = [result(index, latency_s=10.0 - index) for index in range(4)]
    found = summary_of(results, asked, warm_up_s=2.0)
    assert found.requests == 2
    assert found.cold_s is None
    assert found.seconds == pytest.approx(10.0 - 2.0)


def test_tokens_per_second_are_until_the_last_answer() -> None:
    results = [result(0, latency_s=1.0, gaps_s=[0.1] * 9), result(1, latency_s=3.0, gaps_s=[0.1] * 9)]
    found = summary_of(results, workload([None, None]))
    assert (found.output_tokens, found.output_tokens_per_s) == (20, 5.0)
    assert found.tokens_from == "events"


def test_a_run_without_an_answer_has_no_percentiles() -> None:
    found = summary_of([result(0, outcome=LoadOutcome.CONNECTION)], workload(["otter"]))
    assert found.latency_s is None
    assert found.goodput == 0
    assert found.jain_index is None


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=50))
def test_jains_index_is_between_one_nth_and_one(values: list[float]) -> None:
    found = jain_index(values)
    assert found is not None
    assert 1 / len(values) - 1e-9 <= found <= 1 + 1e-9


def test_jains_index_of_known_shares() -> None:
    assert jain_index([3, 3, 3]) == pytest.approx(1)
    assert jain_index([1, 0, 0, 0]) == pytest.approx(1 / 4)
    assert jain_index([1, 2, 3]) == pytest.approx(36 / 42)
    assert jain_index([0, 0]) is None


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=60))
def test_percentiles_are_ordered_and_numpys(values: list[float]) -> None:
    found = times(values)
    assert found is not None
    assert found.p50 <= found.p90 <= found.p95 <= found.p99 <= found.max == max(values)
    assert found.p95 == pytest.approx(np.percentile(values, 95))
