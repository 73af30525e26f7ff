"""Measurement of one scenario in one round: every answer checked, rates and latencies of the right ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loraserve.demo.questions import AnswerLength, Question
from loraserve.load.job import LoadRun
from loraserve.load.result import LoadOutcome


@dataclass(frozen=True)
class Latency:
    """Seconds from sending a request to receiving its whole answer; successful requests only."""

    mean: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Measurement:
    """The figures of one scenario in one round."""

    requests: int
    total_s: float
    """From the first request to the last answer."""
    tokens_per_s: float
    """Output tokens, as the engine counted them."""
    rps: float
    """Successful requests per second."""
    latency_s: Latency
    errors: int
    wrong_answer: int
    wrong_adapter: int
    wrong_length: int
    """Answers whose number of tokens is not the one that was asked for."""
    first_error: str | None
    client_share: float
    """Processor time of the load generator, in cores."""


def summarize(questions: Sequence[Question], run: LoadRun, length: AnswerLength) -> Measurement:
    """Check the answers and calculate counts, rates and percentiles; question n is request n of the run."""
    results = run.results
    good = [result for result in results if result.outcome is LoadOutcome.OK]
    bad = [result for result in results if result.outcome is not LoadOutcome.OK]
    verdicts = [questions[result.index].verdict(result.text or "", length) for result in good]
    total_s = max(result.ended_s for result in results) - min(result.sent_s for result in results)
    return Measurement(
        requests=len(results),
        total_s=total_s,
        tokens_per_s=sum(result.output_tokens for result in good) / total_s,
        rps=len(good) / total_s,
        latency_s=_latency(latencies_of(run)),
        errors=len(bad),
        wrong_answer=sum(not verdict.right_answer for verdict in verdicts),
        wrong_adapter=sum(not verdict.right_adapter for verdict in verdicts),
        wrong_length=sum(length.exact and result.output_tokens != length.tokens for result in good),
        first_error=next((f"{result.outcome.value}: {result.message}" for result in bad), None),
        client_share=run.health.cpu_share,
    )


def latencies_of(run: LoadRun) -> list[float]:
    """Return the seconds of each successful request, from sending it to its whole answer."""
    return [result.service_s for result in run.results if result.outcome is LoadOutcome.OK]


def _latency(seconds: Sequence[float]) -> Latency:
    if not seconds:
        return Latency(*[float("nan")] * 4)
    return Latency(float(np.mean(seconds)), *(float(cut) for cut in np.percentile(seconds, (50, 95, 99))))
