"""Figures of a load test: latencies, tokens, goodput, errors and wrong answers, in all and by adapter.

Every figure is measured. Requests that were due during the warm-up do not count.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loraserve.load.check import AnswerCheck
from loraserve.load.result import LoadOutcome, RequestResult
from loraserve.load.slo import LatencySlo
from loraserve.workload.workload import Workload


@dataclass(frozen=True, kw_only=True)
class TimeFigures:
    """Percentiles of times, in seconds, interpolated linearly."""

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, kw_only=True)
class AdapterResults:
    """Figures of the requests for one adapter."""

    name: str | None
    """None for the base model."""
    requests: int
    errors: int
    """Requests without a whole answer, those withheld included."""
    wrong: int
    goodput: float
    """Share of the requests that were answered, not wrong and within the SLO."""
    latency_s: TimeFigures | None
    """Of answered requests, from the time at which each was due; None without one."""
    output_tokens: int


@dataclass(frozen=True, kw_only=True)
class LoadSummary:
    """Figures of a run."""

    requests: int
    """Requests that were due after the warm-up."""
    answered_rps: float
    """Answered requests per second, until the last answer."""
    seconds: float
    """From the end of the warm-up to the last answer."""
    outcomes: dict[str, int]
    """Requests by the words of `LoadOutcome`; only those that occurred."""
    checks: dict[str, int]
    """Answers by the words of `AnswerCheck`; only those that occurred."""
    first_messages: dict[str, str]
    """The first error's text of each outcome."""
    goodput: float
    """Share of the requests that were answered, not wrong and within the SLO."""
    good_rps: float
    """Such requests per second."""
    latency_s: TimeFigures | None
    """From the time at which a request was due to the end of its answer."""
    service_s: TimeFigures | None
    """From sending it to the end of its answer."""
    ttft_s: TimeFigures | None
    """From the time at which a request was due to its first token; None without streams."""
    ttft_service_s: TimeFigures | None
    """From sending it to its first token."""
    itl_s: TimeFigures | None
    """Between tokens, of all streams together."""
    cold_s: TimeFigures | None
    """Latency of the first request for each adapter."""
    warm_s: TimeFigures | None
    """Latency of all others."""
    input_tokens: int | None
    """None if no answer has them."""
    output_tokens: int
    output_tokens_per_s: float
    tokens_from: str
    """`usage`: counted by the engine; `events`: by the events of the streams; `both`: some of each."""
    adapters: tuple[AdapterResults, ...]
    """The most requested one first."""
    jain_index: float | None
    """Jain's fairness index of the adapters' tokens per second of latency; 1: all adapters are equally fast;
    None without adapters."""

    @property
    def wrong(self) -> int:
        """Number of wrong answers."""
        return sum(self.checks.get(check.value, 0) for check in AnswerCheck if check.is_wrong)

    @property
    def wrong_adapters(self) -> int:
        """Number of answers of another adapter than the one asked."""
        return self.checks.get(AnswerCheck.WRONG_ADAPTER.value, 0)

    @property
    def errors(self) -> int:
        """Number of requests without a whole answer, those withheld included."""
        return self.requests - self.outcomes.get(LoadOutcome.OK.value, 0)


def summarize(
    results: Sequence[RequestResult],
    checks: Sequence[AnswerCheck],
    workload: Workload,
    *,
    slo: LatencySlo | None = None,
    warm_up_s: float = 0,
) -> LoadSummary:
    """Compute the figures of a run from its results and the check of each."""
    slo = slo or LatencySlo()
    cold = _first_of_each_adapter(results, workload)
    pairs = [
        (result, check) for result, check in zip(results, checks, strict=True) if result.due_s >= warm_up_s
    ]
    counted = [result for result, _ in pairs]
    answered = [result for result in counted if result.outcome is LoadOutcome.OK]
    good = [result for result, check in pairs if _is_good(result, check, slo)]
    seconds = max((result.ended_s for result in counted), default=warm_up_s) - warm_up_s
    per_second = 1 / seconds if seconds > 0 else 0.0
    output_tokens = sum(result.output_tokens for result in answered)
    adapters = _by_adapter(pairs, workload, slo)
    known_inputs = [result.input_tokens for result in answered if result.input_tokens is not None]
    return LoadSummary(
        requests=len(counted),
        answered_rps=len(answered) * per_second,
        seconds=seconds,
        outcomes=_counts(result.outcome.value for result in counted),
        checks=_counts(check.value for _, check in pairs if check is not AnswerCheck.NO_ANSWER),
        first_messages=_first_messages(counted),
        goodput=_share(len(good), len(counted)),
        good_rps=len(good) * per_second,
        latency_s=times(result.latency_s for result in answered),
        service_s=times(result.service_s for result in answered),
        ttft_s=times(r.first_token_s - r.due_s for r in answered if r.first_token_s is not None),
        ttft_service_s=times(r.first_token_s - r.sent_s for r in answered if r.first_token_s is not None),
        itl_s=times(_joined([result.token_gaps_s for result in answered])),
        cold_s=times(result.latency_s for result in answered if result.index in cold),
        warm_s=times(result.latency_s for result in answered if result.index not in cold),
        input_tokens=sum(known_inputs) if known_inputs else None,
        output_tokens=output_tokens,
        output_tokens_per_s=output_tokens * per_second,
        tokens_from=_tokens_from(answered),
        adapters=adapters,
        jain_index=_jain(counted, workload),
    )


def times(values: Iterable[float] | NDArray[np.float32]) -> TimeFigures | None:
    """Return the percentiles of times in seconds; None without any. An array is sorted in place."""
    found = values if isinstance(values, np.ndarray) else np.fromiter(values, dtype=np.float64)
    if not len(found):
        return None
    mean, largest = float(found.mean(dtype=np.float64)), float(found.max())
    p50, p90, p95, p99 = np.percentile(found, [50, 90, 95, 99], overwrite_input=True).tolist()
    return TimeFigures(count=len(found), mean=mean, p50=p50, p90=p90, p95=p95, p99=p99, max=largest)


def jain_index(values: Sequence[float]) -> float | None:
    """Return Jain's fairness index, (Σx)² ÷ (n·Σx²): 1 if all values are equal, 1/n if all but one are 0.

    None without a positive value. Source: Jain, Chiu, Hawe, DEC-TR-301 (1984).
    """
    squares = math.fsum(value * value for value in values)
    return None if squares == 0 else math.fsum(values) ** 2 / (len(values) * squares)


def _is_good(result: RequestResult, check: AnswerCheck, slo: LatencySlo) -> bool:
    return result.outcome is LoadOutcome.OK and not check.is_wrong and slo.is_kept(result)


def _by_adapter(
    pairs: Sequence[tuple[RequestResult, AnswerCheck]], workload: Workload, slo: LatencySlo
) -> tuple[AdapterResults, ...]:
    groups: dict[str | None, list[tuple[RequestResult, AnswerCheck]]] = {}
    for pair in pairs:
        groups.setdefault(workload.name_of(pair[0].index), []).append(pair)
    found = []
    for name, group in groups.items():
        answered = [result for result, _ in group if result.outcome is LoadOutcome.OK]
        found.append(
            AdapterResults(
                name=name,
                requests=len(group),
                errors=len(group) - len(answered),
                wrong=sum(check.is_wrong for _, check in group),
                goodput=_share(sum(_is_good(result, check, slo) for result, check in group), len(group)),
                latency_s=times(result.latency_s for result in answered),
                output_tokens=sum(result.output_tokens for result in answered),
            )
        )
    return tuple(sorted(found, key=lambda one: (-one.requests, one.name or "")))


def _jain(counted: Sequence[RequestResult], workload: Workload) -> float | None:
    """Return the index over adapters; an adapter without an answer has speed 0."""
    tokens: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    for result in counted:
        if (name := workload.name_of(result.index)) is not None:
            # A failed request gives its adapter no tokens for the time that it took.
            tokens[name] += result.output_tokens if result.outcome is LoadOutcome.OK else 0
            seconds[name] += max(result.latency_s, 0)
    return jain_index([tokens[name] / seconds[name] if seconds[name] else 0.0 for name in tokens])


def _first_of_each_adapter(results: Sequence[RequestResult], workload: Workload) -> set[int]:
    """Return the index of the first request that was sent for each adapter, in the warm-up or after it."""
    first: dict[str, RequestResult] = {}
    for result in results:
        name = workload.name_of(result.index)
        if name is None or result.outcome is LoadOutcome.WITHHELD:
            continue
        if name not in first or result.sent_s < first[name].sent_s:
            first[name] = result
    return {result.index for result in first.values()}


def _joined(gaps: Sequence[array[float]]) -> NDArray[np.float32]:
    """Return all gaps in one array; with 100,000 streams it is the largest one."""
    joined = np.empty(sum(map(len, gaps)), dtype=np.float32)
    end = 0
    for values in gaps:
        joined[end : end + len(values)] = values
        end += len(values)
    return joined


def _tokens_from(answered: Sequence[RequestResult]) -> str:
    sources = {result.tokens_from_usage for result in answered}
    return "both" if len(sources) == 2 else "usage" if sources == {True} else "events"


def _first_messages(counted: Sequence[RequestResult]) -> dict[str, str]:
    messages: dict[str, str] = {}
    for result in counted:
        if result.outcome is not LoadOutcome.OK and result.message:
            messages.setdefault(result.outcome.value, result.message)
    return messages


def _counts(words: Iterable[str]) -> dict[str, int]:
    return dict(Counter(words).most_common())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
