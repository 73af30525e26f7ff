"""Lengths of prompts and answers."""

import numpy as np
import pytest

from loraserve.workload.errors import WorkloadError
from loraserve.workload.lengths import TraceLengths, UniformLengths, parse_lengths


def test_a_uniform_length_has_both_bounds_and_their_mean() -> None:
    lengths = parse_lengths("uniform:8-512")
    assert isinstance(lengths, UniformLengths)
    drawn = lengths.draw(np.random.default_rng(1), 50_000)
    assert (drawn.min(), drawn.max()) == (8, 512)
    assert drawn.mean() == pytest.approx(260, rel=0.01)


def test_a_fixed_length_is_always_the_same() -> None:
    lengths = parse_lengths("fixed:48")
    assert isinstance(lengths, UniformLengths)
    assert set(lengths.draw(np.random.default_rng(1), 100).tolist()) == {48}


def test_the_lengths_of_a_trace_have_no_values_here() -> None:
    assert parse_lengths("trace") == TraceLengths()


@pytest.mark.parametrize(
    "text",
    ["", "48", "fixed", "fixed:0", "fixed:-1", "fixed:1.5", "fixed:٣", "uniform:8", "uniform:9-8", "trace:x"],
)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(WorkloadError, match=r"use fixed|write"):
        parse_lengths(text)
