"""Descriptions of generated traffic."""

from pathlib import Path

import numpy as np
import pytest

from loraserve.workload.errors import WorkloadError
from loraserve.workload.slora import SloraTraffic
from loraserve.workload.synthetic import parse_synthetic, parse_trace
from loraserve.workload.week import SyntheticWeek


def test_values_follow_the_shape() -> None:
    assert parse_synthetic("synthetic:week") == SyntheticWeek()
    assert parse_synthetic("synthetic:week,rate=0.5,days=2,seed=3,zipf=0") == SyntheticWeek(
        rate=0.5, days=2, seed=3, zipf=0
    )
    assert parse_synthetic("synthetic:slora,cv=4,alpha=0.3") == SloraTraffic(cv=4, alpha=0.3)


def test_slora_draws_its_lengths_gaps_and_adapters() -> None:
    traffic = parse_trace("synthetic:slora,rate=10,seconds=5000,cv=2,adapters=5,alpha=0.5")
    assert (traffic.input_tokens.min(), traffic.output_tokens.max()) == (8, 512)
    gaps = np.diff(traffic.due_s)
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(2, rel=0.1)
    assert traffic.rate == pytest.approx(10, rel=0.05)
    # adapter = 5·U²: √(1/5) of the requests are of the first.
    assert np.mean(traffic.adapter == 0) == pytest.approx(5**-0.5, rel=0.03)
    assert SloraTraffic(rate=10, seconds=5000).rates().sum() == 50_000


@pytest.mark.parametrize(
    "text",
    [
        "synthetic:",
        "synthetic:month",
        "synthetic:week,rate",
        "synthetic:week,speed=1",
        "synthetic:week,rate=0",
        "synthetic:week,rate=x",
        "synthetic:week,days=1.5",
        "synthetic:week,days=1e9",
        "synthetic:week,rate=1e9",
        "synthetic:week,adapters=1e9",
        "synthetic:slora,days=2",
    ],
)
def test_a_description_that_cannot_be_used_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(WorkloadError, match=r"use|give|write"):
        parse_trace(text)


def test_any_other_text_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text('{"timestamp": 0, "input_length": 5, "output_length": 7}\n')
    assert parse_trace(str(path)).output_tokens.tolist() == [7]
