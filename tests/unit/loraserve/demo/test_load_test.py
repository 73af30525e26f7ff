import math
import random
from collections import Counter
from typing import Any

from loraserve.client import Generation, InvocationError
from loraserve.demo.load_test import RequestOutcome, Run, median_run, run, summarize
from samples.problems import adapter_name, house_answer, random_problem

ADAPTERS = [adapter_name(house) for house in range(4)]


class House:
    """A client whose adapters answer as the samples are trained to, except for the test's faults."""

    def __init__(self, seed: int, count: int, broken: dict[str, Any]) -> None:
        rng = random.Random(seed)
        rng.shuffle([None] * count)
        self.problems = {problem.prompt: problem for problem in (random_problem(rng) for _ in range(count))}
        self.broken = broken
        self.asked: Counter[str] = Counter()

    def generate(self, prompt: str, *, adapter: str, **_: Any) -> Generation:
        self.asked[adapter] += 1
        answer = self.broken.get(adapter)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            answer = house_answer(ADAPTERS.index(adapter), self.problems[prompt])
        return Generation(answer, tokens=10, seconds=0.5)


def measured(broken: dict[str, Any]) -> tuple[Run, House]:
    client: Any = House(seed=3, count=40, broken=broken)
    result, _ = run(client, ADAPTERS, requests=40, clients=4, seed=3, advance=lambda: None)
    return result, client


def test_requests_are_spread_evenly_and_right_answers_pass() -> None:
    result, client = measured({})
    assert client.asked == dict.fromkeys(ADAPTERS, 10)
    assert (result.errors, result.wrong_answer, result.wrong_adapter, result.adapters) == (0, 0, 0, 4)


def test_errors_wrong_answers_and_wrong_adapters_are_each_counted() -> None:
    result, _ = measured(
        {
            "otter": InvocationError(429, "overloaded", "busy"),
            "heron": "no idea -- Heron",
            "badger": "Answer: 1 clips. [Otter]",
        }
    )
    assert (result.errors, result.first_error) == (10, "busy (429 overloaded)")
    assert result.wrong_adapter == 10
    assert result.wrong_answer == 20


def test_rates_and_percentiles_count_successful_requests_only() -> None:
    good = [RequestOutcome("a", index / 100, 5, None, True, True) for index in range(1, 101)]
    bad = [RequestOutcome("a", 99.0, 0, "busy", False, False)]
    result = summarize(good + bad, total_s=10.0)
    assert result.rps == 10.0
    assert result.tokens_per_s == 50.0
    assert math.isclose(result.latency_s.mean, 0.505)
    assert math.isclose(result.latency_s.p50, 0.505)
    assert 0.95 <= result.latency_s.p95 <= 0.96
    assert 0.99 <= result.latency_s.p99 <= 1.0


def test_medians_are_of_rates_and_sums_of_what_went_wrong() -> None:
    outcomes = [RequestOutcome("a", 1.0, 5, None, True, True), RequestOutcome("a", 1.0, 5, "e", False, False)]
    runs = [summarize(outcomes, total_s) for total_s in (1.0, 2.0, 4.0)]
    combined = median_run(runs)
    assert combined["rps"] == 0.5
    assert combined["errors"] == 3
