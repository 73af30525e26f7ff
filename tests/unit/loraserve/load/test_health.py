import dataclasses

import pytest

from loraserve.load.health import Health, health_of
from loraserve.load.result import LoadOutcome, RequestResult


def results(lag_s: float, count: int = 101) -> list[RequestResult]:
    return [
        RequestResult(n, n / 10, n / 10 + lag_s * n / (count - 1), ended_s=n / 10 + 1) for n in range(count)
    ]


def health(
    found: list[RequestResult], *, open_loop: bool = True, warm_up_s: float = 0.0, cpu: float = 0.1
) -> Health:
    return health_of(found, open_loop=open_loop, warm_up_s=warm_up_s, cpu_share=cpu, gc_off=True)


def test_lag_and_rates_are_measured() -> None:
    found = health(results(0.004))

    assert found.lag_p50_s == pytest.approx(0.002)
    assert found.lag_p99_s == pytest.approx(0.00396)
    assert found.lag_max_s == pytest.approx(0.004)
    assert found.asked_rate == pytest.approx(10)
    assert found.reached_rate == pytest.approx(10, rel=0.01)
    assert found.valid


def test_a_late_generator_is_invalid() -> None:
    [reason] = health(results(0.006)).invalid_because
    assert reason.startswith(
        "the generator sent late: p99 of its lag is 5.9 ms, the limit is 5 ms; lower the rate"
    )


def test_a_busy_generator_is_invalid() -> None:
    [reason] = health(results(0.0), cpu=0.91).invalid_because
    assert "computed for 91% of the time" in reason


def test_withheld_requests_are_said_and_are_no_lag() -> None:
    found = results(0.0)
    found[3] = dataclasses.replace(found[3], outcome=LoadOutcome.WITHHELD)

    [reason] = health(found).invalid_because
    assert reason.startswith("1 requests were withheld")


def test_the_warm_up_does_not_count() -> None:
    found = results(0.0)
    found[:5] = [dataclasses.replace(result, sent_s=3.0) for result in found[:5]]

    assert not health(found).valid
    assert health(found, warm_up_s=0.5).valid


def test_a_closed_run_has_no_lag() -> None:
    found = health(results(0.1), open_loop=False)

    assert (found.lag_p99_s, found.asked_rate, found.reached_rate) == (None, None, None)
    assert found.valid


def test_a_run_without_requests_has_a_health() -> None:
    assert health([]).valid
