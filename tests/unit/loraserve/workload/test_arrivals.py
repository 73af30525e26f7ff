"""Arrival times: rate, variation, end, and the same ones for the same seed."""

from pathlib import Path

import numpy as np
import pytest

from loraserve.workload.arrivals import ClosedLoopArrivals, Extent, parse_arrivals
from loraserve.workload.errors import WorkloadError


def due(text: str, seed: int = 1, **extent: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return parse_arrivals(text).due_s(np.random.default_rng(seed), Extent(**extent))  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "cv"), [("poisson", 1.0), ("gamma:4", 4.0), ("gamma:0.5", 0.5)])
def test_gaps_have_the_mean_of_the_rate_and_their_coefficient_of_variation(text: str, cv: float) -> None:
    gaps = np.diff(due(text, rate=20, requests=200_000))
    assert np.mean(gaps) * 20 == pytest.approx(1, rel=0.05)
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(cv, rel=0.1)


def test_constant_arrivals_are_a_gap_apart_and_end_before_the_duration() -> None:
    # 0.1 · 30 is 3.0000000000000004 in binary: a fourth request would be due at the end.
    assert due("constant", rate=10, duration_s=0.3) == pytest.approx([0, 0.1, 0.2])
    assert due("constant", rate=50, duration_s=60).shape == (3000,)


@pytest.mark.parametrize("text", ["constant", "poisson", "gamma:4"])
def test_arrivals_are_ascending_and_within_the_duration(text: str) -> None:
    found = due(text, rate=100, duration_s=100)
    assert np.all(np.diff(found) >= 0)
    assert found[0] >= 0 and found[-1] < 100
    # Longer than one chunk of draws; the count of gamma:4 has a deviation of 4 %.
    assert len(found) == pytest.approx(10_000, rel=0.15)


def test_a_number_of_requests_and_a_duration_end_with_whichever_is_first() -> None:
    assert len(due("poisson", rate=100, requests=10, duration_s=1000)) == 10
    assert len(due("constant", rate=100, requests=1000, duration_s=0.1)) == 10


def test_a_longer_run_begins_with_the_arrivals_of_a_shorter_one() -> None:
    shorter, longer = due("gamma:2", rate=50, duration_s=10), due("gamma:2", rate=50, duration_s=200)
    assert np.array_equal(shorter, longer[: len(shorter)])


def test_the_arrivals_of_a_trace_keep_their_rate_or_are_stretched_evenly(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(
        "".join(f'{{"timestamp": {t}, "input_length": 1, "output_length": 1}}\n' for t in (0, 1000, 4000))
    )
    assert due(f"trace:{path}") == pytest.approx([0, 1, 4])
    # Two gaps in four seconds are 0.5/s.
    assert due(f"trace:{path}", rate=1) == pytest.approx([0, 0.5, 2])
    assert due(f"trace:{path}", requests=2) == pytest.approx([0, 1])
    assert due(f"trace:{path}", duration_s=4) == pytest.approx([0, 1])
    with pytest.raises(WorkloadError, match="3 requests, not 4"):
        due(f"trace:{path}", requests=4)


def test_a_closed_loop_has_no_arrival_times() -> None:
    random = np.random.default_rng(0)
    assert ClosedLoopArrivals().due_s(random, Extent(requests=3)).tolist() == [0, 0, 0]
    with pytest.raises(WorkloadError, match="number of requests"):
        ClosedLoopArrivals().due_s(random, Extent(duration_s=3))


def test_arrivals_without_rate_or_end_are_refused() -> None:
    with pytest.raises(WorkloadError, match="rate"):
        due("poisson", requests=3)
    with pytest.raises(WorkloadError, match="duration"):
        due("poisson", rate=3)


@pytest.mark.parametrize(
    "text",
    ["", "poison", "poisson:1", "gamma", "gamma:", "gamma:x", "gamma:0", "gamma:-1", "gamma:nan", "trace"],
)
def test_an_unknown_text_is_refused_with_what_it_may_be(text: str) -> None:
    with pytest.raises(WorkloadError, match=r"use poisson|write one|give a") as refused:
        parse_arrivals(text)
    assert refused.value.exit_code == 2
