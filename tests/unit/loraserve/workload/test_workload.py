"""The rate of a workload, and another one."""

import numpy as np
import pytest

from loraserve.workload.workload import Workload


def at(*times: float) -> Workload:
    ones = np.ones(len(times), dtype=np.int32)
    return Workload(due_s=np.array(times), adapter=-ones, input_tokens=ones, output_tokens=ones)


def test_the_rate_is_of_the_gaps() -> None:
    assert at(0, 1, 4).rate == pytest.approx(0.5)
    assert at(0, 1, 4).at_rate(2).due_s.tolist() == [0, 0.25, 1]
    assert at(0, 1, 4).at_rate(2).rate == pytest.approx(2)


@pytest.mark.parametrize("times", [(), (1.0,), (1.0, 1.0)])
def test_a_workload_without_gaps_has_no_rate(times: tuple[float, ...]) -> None:
    assert at(*times).rate == 0
    assert at(*times).at_rate(5).due_s.tolist() == list(times)
