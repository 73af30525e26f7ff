"""Bounds of latencies: reading their text, and judging a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loraserve.load.slo import LatencySlo, SloError, parse_fail_under, parse_slo
from tests.unit.loraserve.load.made import result


def test_each_bound_is_read_in_its_unit() -> None:
    assert parse_slo("ttft=500ms,itl=50ms,e2e=4s") == LatencySlo(ttft_s=0.5, itl_s=0.05, e2e_s=4.0)
    assert parse_slo("e2e=1.5s") == LatencySlo(e2e_s=1.5)
    assert parse_slo("") == LatencySlo()


@pytest.mark.parametrize("text", ["ttft", "ttft=5", "tpot=5ms", "e2e=0s", "itl=-1s", "itl=nans", "e2e=1s,e2e=2s", "e2e=1 s"])  # fmt: skip
def test_anything_else_is_refused_with_the_form_to_write(text: str) -> None:
    with pytest.raises(SloError, match="write|keep") as caught:
        parse_slo(text)
    assert caught.value.exit_code == 2


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_the_text_of_bounds_is_read_back(ttft: int, e2e: int) -> None:
    slo = LatencySlo(ttft_s=ttft / 1000, e2e_s=e2e / 1000)
    read = parse_slo(str(slo))
    assert read.ttft_s == pytest.approx(slo.ttft_s, rel=1e-5)
    assert read.e2e_s == pytest.approx(slo.e2e_s, rel=1e-5)


def test_latency_counts_from_the_due_time() -> None:
    slo = parse_slo("e2e=1s")
    assert slo.is_kept(result(0, latency_s=1.0, lag_s=0.9))
    assert not slo.is_kept(result(0, latency_s=1.1, lag_s=0.9))


def test_a_request_keeps_the_bound_of_the_mean_gap_between_its_tokens() -> None:
    slo = parse_slo("itl=50ms")
    assert slo.is_kept(result(0, gaps_s=[0.01, 0.08]))
    assert not slo.is_kept(result(0, gaps_s=[0.05, 0.06]))


def test_a_bound_of_the_first_token_is_for_streams() -> None:
    slo = parse_slo("ttft=500ms")
    assert slo.is_kept(result(0, latency_s=0.9, gaps_s=[0.2, 0.2, 0.1]))
    assert not slo.is_kept(result(0, latency_s=1.1, gaps_s=[0.2, 0.2, 0.1]))
    assert slo.is_kept(result(0, latency_s=9.0))


def test_the_least_goodput_is_a_share() -> None:
    assert parse_fail_under("goodput=0.99") == 0.99
    for text in ("goodput=99", "goodput", "0.99", "latency=0.9", "goodput=nan"):
        with pytest.raises(SloError, match="write goodput=0.99"):
            parse_fail_under(text)
