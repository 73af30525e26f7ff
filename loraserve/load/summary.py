"""Figures of a load test: latencies, tokens, goodput, errors and wrong answers, in all and by adapter.

Every figure is measured. Requests that were due during the warm-up do not count.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from loraserve.load.check import AnswerCheck
from loraserve.load.percentiles import TimeFigures, times, times_of_arrays
from loraserve.load.result import LoadOutcome, RequestResult
from loraserve.load.slo import LatencySlo
from loraserve.workload.workload import Workload


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
    tally = _RunTally()
    by_adapter: dict[str | None, _AdapterTally] = {}
    for result, check in zip(results, checks, strict=True):
        if result.due_s >= warm_up_s:
            is_good = _is_good(result, check, slo)
            tally.add(result, check, is_good=is_good, is_cold=result.index in cold)
            name = workload.name_of(result.index)
            by_adapter.setdefault(name, _AdapterTally()).add(result, check, is_good=is_good)
    adapters = [one.figures(name) for name, one in by_adapter.items()]
    seconds = max(tally.last_end_s - warm_up_s, 0.0)
    per_second = 1 / seconds if seconds > 0 else 0.0
    output_tokens = sum(one.output_tokens for one in adapters)
    return LoadSummary(
        requests=tally.requests,
        answered_rps=len(tally.latency_s) * per_second,
        seconds=seconds,
        outcomes=dict(tally.outcomes.most_common()),
        checks=dict(tally.checks.most_common()),
        first_messages=tally.first_messages,
        goodput=_share(tally.good, tally.requests),
        good_rps=tally.good * per_second,
        latency_s=times(tally.latency_s),
        service_s=times(tally.service_s),
        ttft_s=times(tally.ttft_s),
        ttft_service_s=times(tally.ttft_service_s),
        itl_s=times_of_arrays(lambda: _gaps(results, warm_up_s)),
        cold_s=times(tally.cold_s),
        warm_s=times(tally.warm_s),
        input_tokens=tally.input_tokens,
        output_tokens=output_tokens,
        output_tokens_per_s=output_tokens * per_second,
        tokens_from=_tokens_from(tally.token_sources),
        adapters=tuple(sorted(adapters, key=lambda one: (-one.requests, one.name or ""))),
        jain_index=jain_index([one.speed for name, one in by_adapter.items() if name is not None]),
    )


def jain_index(values: Sequence[float]) -> float | None:
    """Return Jain's fairness index, (Σx)² ÷ (n·Σx²): 1 if all values are equal, 1/n if all but one are 0.

    None without a positive value. Source: Jain, Chiu, Hawe, DEC-TR-301 (1984).
    """
    squares = math.fsum(value * value for value in values)
    return None if squares == 0 else math.fsum(values) ** 2 / (len(values) * squares)


def _is_good(result: RequestResult, check: AnswerCheck, slo: LatencySlo) -> bool:
    return result.outcome is LoadOutcome.OK and not check.is_wrong and slo.is_kept(result)


class _RunTally:
    """Numbers of a run; the table of its results is read once for all of them."""

    def __init__(self) -> None:
        self.requests = self.good = 0
        self.last_end_s = 0.0
        self.outcomes: Counter[str] = Counter()
        self.checks: Counter[str] = Counter()
        self.first_messages: dict[str, str] = {}
        self.latency_s, self.service_s, self.cold_s, self.warm_s = (array("d") for _ in range(4))
        self.ttft_s, self.ttft_service_s = array("d"), array("d")
        self.input_tokens: int | None = None
        self.token_sources: set[bool] = set()

    def add(self, result: RequestResult, check: AnswerCheck, *, is_good: bool, is_cold: bool) -> None:
        self.requests += 1
        self.good += is_good
        self.last_end_s = max(self.last_end_s, result.ended_s)
        self.outcomes[result.outcome.value] += 1
        if check is not AnswerCheck.NO_ANSWER:
            self.checks[check.value] += 1
        if result.outcome is not LoadOutcome.OK:
            if result.message:
                self.first_messages.setdefault(result.outcome.value, result.message)
            return
        self.latency_s.append(result.latency_s)
        self.service_s.append(result.service_s)
        (self.cold_s if is_cold else self.warm_s).append(result.latency_s)
        if result.first_token_s is not None:
            self.ttft_s.append(result.first_token_s - result.due_s)
            self.ttft_service_s.append(result.first_token_s - result.sent_s)
        if result.input_tokens is not None:
            self.input_tokens = (self.input_tokens or 0) + result.input_tokens
        self.token_sources.add(result.tokens_from_usage)


class _AdapterTally:
    """Numbers of one adapter's requests."""

    def __init__(self) -> None:
        self.requests = self.wrong = self.good = self.output_tokens = 0
        self.latency_s = array("d")
        self.seconds = 0.0

    def add(self, result: RequestResult, check: AnswerCheck, *, is_good: bool) -> None:
        self.requests += 1
        self.wrong += check.is_wrong
        self.good += is_good
        # A failed request gives its adapter no tokens for the time that it took.
        self.seconds += max(result.latency_s, 0)
        if result.outcome is LoadOutcome.OK:
            self.output_tokens += result.output_tokens
            self.latency_s.append(result.latency_s)

    @property
    def speed(self) -> float:
        """Output tokens per second of latency; 0 without an answer."""
        return self.output_tokens / self.seconds if self.seconds else 0.0

    def figures(self, name: str | None) -> AdapterResults:
        return AdapterResults(
            name=name,
            requests=self.requests,
            errors=self.requests - len(self.latency_s),
            wrong=self.wrong,
            goodput=_share(self.good, self.requests),
            latency_s=times(self.latency_s),
            output_tokens=self.output_tokens,
        )


def _first_of_each_adapter(results: Sequence[RequestResult], workload: Workload) -> set[int]:
    """Return the index of the first request that was sent for each adapter, in the warm-up or after it."""
    first: dict[str, tuple[float, int]] = {}
    for result in results:
        name = workload.name_of(result.index)
        if name is not None and result.outcome is not LoadOutcome.WITHHELD:
            sent = (result.sent_s, result.index)
            first[name] = min(first.get(name, sent), sent)
    return {index for _, index in first.values()}


def _gaps(results: Iterable[RequestResult], warm_up_s: float) -> Iterator[array[float]]:
    for result in results:
        if result.due_s >= warm_up_s and result.outcome is LoadOutcome.OK:
            yield result.token_gaps_s


def _tokens_from(sources: set[bool]) -> str:
    return "both" if len(sources) == 2 else "usage" if sources == {True} else "events"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
