"""The article's load test, with every response checked.

A fixed number of clients send a fixed number of requests as fast as they are answered, to one adapter
or evenly at random to many. `samples.problems.check` decides whether a response is right.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from loraserve.client import EndpointClient, InvocationError
from samples.problems import check, random_problem

#: The article's load: 300 requests from 20 threads, 64 new tokens.
REQUESTS = 300
CLIENTS = 20
NEW_TOKENS = 64


@dataclass(frozen=True)
class RequestOutcome:
    """The result of one request."""

    adapter: str
    seconds: float
    """Time from sending the request to receiving the whole answer, or the error."""
    tokens: int
    """Number of generated tokens, 0 after an error."""
    error: str | None
    right_answer: bool
    right_adapter: bool


@dataclass(frozen=True)
class Latency:
    """Seconds from sending a request to receiving its whole answer; successful requests only."""

    mean: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Run:
    """The figures of one scenario in one round."""

    requests: int
    adapters: int
    total_s: float
    rps: float
    tokens_per_s: float
    latency_s: Latency
    errors: int
    wrong_answer: int
    wrong_adapter: int
    first_error: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as they are written to JSON."""
        return asdict(self)


def run(
    client: EndpointClient,
    adapters: Sequence[str],
    *,
    requests: int,
    clients: int,
    seed: int,
    advance: Callable[[], None],
) -> tuple[Run, list[RequestOutcome]]:
    """Send the requests, spread evenly at random over `adapters`; `advance` is called after each one.

    Problems and adapters are drawn from `seed` alone.
    """
    rng = random.Random(seed)
    # Each adapter equally often (as far as the numbers allow), in random order.
    chosen = [adapters[index % len(adapters)] for index in range(requests)]
    rng.shuffle(chosen)
    jobs = [(adapter, random_problem(rng)) for adapter in chosen]

    def one(job_index: int) -> RequestOutcome:
        adapter, problem = jobs[job_index]
        started = time.perf_counter()
        try:
            answer = client.generate(problem.prompt, adapter=adapter, max_new_tokens=NEW_TOKENS)
        except InvocationError as error:
            return RequestOutcome(adapter, time.perf_counter() - started, 0, str(error), False, False)
        finally:
            advance()
        verdict = check(answer.text, problem, adapter)
        return RequestOutcome(
            adapter, answer.seconds, answer.tokens, None, verdict.right_answer, verdict.right_adapter
        )

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        outcomes = list(pool.map(one, range(requests)))
    return summarize(outcomes, time.perf_counter() - started), outcomes


def summarize(outcomes: Sequence[RequestOutcome], total_s: float) -> Run:
    """Calculate counts, rates and percentiles of a run that took `total_s` seconds."""
    good = [outcome for outcome in outcomes if outcome.error is None]
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    return Run(
        requests=len(outcomes),
        adapters=len({outcome.adapter for outcome in outcomes}),
        total_s=total_s,
        rps=len(good) / total_s,
        tokens_per_s=sum(outcome.tokens for outcome in good) / total_s,
        latency_s=_latency([outcome.seconds for outcome in good]),
        errors=len(errors),
        wrong_answer=sum(not outcome.right_answer for outcome in good),
        wrong_adapter=sum(not outcome.right_adapter for outcome in good),
        first_error=errors[0] if errors else None,
    )


def _latency(seconds: list[float]) -> Latency:
    if len(seconds) < 2:  # statistics.quantiles needs two
        only = seconds[0] if seconds else float("nan")
        return Latency(only, only, only, only)
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return Latency(statistics.fmean(seconds), cuts[49], cuts[94], cuts[98])


def median_run(runs: Sequence[Run]) -> dict[str, Any]:
    """Aggregate runs field by field: the median of rates and times, the sum of errors and wrong answers."""
    latency = {
        name: statistics.median(getattr(run.latency_s, name) for run in runs)
        for name in ("mean", "p50", "p95", "p99")
    }
    medians = {
        name: statistics.median(getattr(run, name) for run in runs)
        for name in ("total_s", "rps", "tokens_per_s")
    }
    sums = {
        name: sum(getattr(run, name) for run in runs) for name in ("errors", "wrong_answer", "wrong_adapter")
    }
    return {
        "requests": runs[0].requests,
        "adapters": runs[0].adapters,
        **medians,
        "latency_s": latency,
        **sums,
    }
