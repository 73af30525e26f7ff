"""A workload from a seed: its shares, and the same bytes for the same seed."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from loraserve.workload.arrivals import Extent, parse_arrivals
from loraserve.workload.draw import draw_workload, numbered
from loraserve.workload.errors import WorkloadError
from loraserve.workload.lengths import parse_lengths
from loraserve.workload.popularity import parse_popularity
from loraserve.workload.workload import BASE, Workload
from stacks.project import ROOT

FIFTY = numbered(50)


def drawn(**changed: Any) -> Workload:
    arguments = {
        "arrivals": parse_arrivals("poisson"),
        "extent": Extent(rate=100, requests=20_000),
        "adapters": FIFTY,
        "shares": parse_popularity("zipf:1.0", FIFTY),
        "input_tokens": parse_lengths("uniform:8-512"),
        "output_tokens": parse_lengths("uniform:1-64"),
    }
    return draw_workload(**{**arguments, **changed})


def chi_squared_p(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return the probability of a larger χ² (Wilson and Hilferty's approximation)."""
    expected = np.array(shares) * sum(counts)
    freedom = len(shares) - 1
    statistic = float(np.sum((np.array(counts) - expected) ** 2 / expected))
    deviation = (2 / (9 * freedom)) ** 0.5
    return 1 - NormalDist().cdf(((statistic / freedom) ** (1 / 3) - 1 + deviation**2) / deviation)


@pytest.mark.parametrize("law", ["uniform", "zipf:1.0", "zipf:1.37", "power:0.3"])
def test_adapters_are_drawn_with_their_shares(law: str) -> None:
    shares = parse_popularity(law, FIFTY)
    counts = np.bincount(drawn(shares=shares).adapter, minlength=50).tolist()
    assert chi_squared_p(counts, shares) > 0.001
    # The test is able to tell a law from another one.
    assert chi_squared_p(counts, parse_popularity("zipf:1.1", FIFTY)) < 0.001


def test_the_base_model_has_its_share() -> None:
    workload = drawn(base_share=0.1)
    assert np.mean(workload.adapter == BASE) == pytest.approx(0.1, abs=0.007)
    counts = np.bincount(workload.adapter[workload.adapter != BASE], minlength=50).tolist()
    assert chi_squared_p(counts, parse_popularity("zipf:1.0", FIFTY)) > 0.001
    assert set(drawn(base_share=1).adapter.tolist()) == {BASE}


def test_without_adapters_all_requests_are_of_the_base_model() -> None:
    workload = drawn(adapters=(), shares=())
    assert set(workload.adapter.tolist()) == {BASE}
    assert workload.name_of(0) is None


def test_an_adapter_without_share_has_no_request() -> None:
    assert set(drawn(adapters=("a", "b", "c"), shares=(0.0, 1.0, 0.0)).adapter.tolist()) == {1}


def test_the_same_seed_draws_the_same_bytes_in_another_process() -> None:
    here = drawn(seed=7)
    code = "from tests.unit.loraserve.workload.test_draw import drawn; print(drawn(seed=7).digest())"
    there = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert there.stdout.strip() == here.digest()
    assert drawn(seed=8).digest() != here.digest()


def test_the_digest_covers_every_column() -> None:
    whole = drawn()
    one_name = drawn(adapters=("other", *FIFTY[1:]))
    lengths = parse_lengths("fixed:9")
    digests = {
        w.digest() for w in (whole, one_name, drawn(input_tokens=lengths), drawn(output_tokens=lengths))
    }
    assert len(digests | {drawn(extent=Extent(rate=99, requests=20_000)).digest()}) == 5


def test_another_popularity_leaves_arrivals_and_lengths_as_they_are() -> None:
    one, other = drawn(seed=3), drawn(seed=3, shares=parse_popularity("uniform", FIFTY))
    assert not np.array_equal(one.adapter, other.adapter)
    assert np.array_equal(one.due_s, other.due_s)
    assert np.array_equal(one.input_tokens, other.input_tokens)
    assert np.array_equal(one.output_tokens, other.output_tokens)


def test_the_lengths_of_a_trace_go_with_its_arrivals(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00.0,30,3\n2023-11-16 18:00:01.0,40,4\n"
    )
    trace = parse_lengths("trace")
    workload = drawn(
        arrivals=parse_arrivals(f"trace:{path}"),
        extent=Extent(),
        input_tokens=trace,
        output_tokens=trace,
    )
    assert workload.input_tokens.tolist() == [30, 40]
    assert workload.output_tokens.tolist() == [3, 4]
    with pytest.raises(WorkloadError, match="trace:FILE"):
        drawn(input_tokens=trace)


@pytest.mark.parametrize("changed", [{"seed": -1}, {"base_share": 1.1}, {"base_share": float("nan")}])
def test_arguments_out_of_range_are_refused(changed: dict[str, float]) -> None:
    with pytest.raises(WorkloadError, match="give a"):
        drawn(**changed)
