"""Scenarios that are compared with each other, and their figures over several rounds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from loraserve.demo.measurement import Measurement
from loraserve.demo.questions import AnswerLength

T = TypeVar("T")


@dataclass(frozen=True)
class Scenario:
    """The models that are asked, and how much work an answer is."""

    name: str
    models: tuple[str | None, ...]
    """Names of adapters; None is the base model."""
    requests: int
    """Requests of a round."""
    length: AnswerLength

    @property
    def title(self) -> str:
        """The name with the kind of work."""
        return f"{self.name}, {'equal work' if self.length.exact else 'own length'}"


def alternating(items: Sequence[T], number: int) -> list[T]:
    """Return the items in the order of round `number`: forwards in even rounds, backwards in odd ones.

    So no item always runs directly after the same other one.
    """
    return list(items) if number % 2 == 0 else list(reversed(items))


@dataclass(frozen=True)
class Ratio:
    """A figure of one scenario divided by the same figure of another one, over several rounds."""

    ratio: float
    """Median of the rounds' ratios."""
    lowest: float
    highest: float

    def __str__(self) -> str:
        """Format it with its spread."""
        return f"{self.ratio:.2f} ({self.lowest:.2f} to {self.highest:.2f})"


def ratio_of(measured: Sequence[float], reference: Sequence[float]) -> Ratio:
    """Return measured ÷ reference, round by round: the median of the ratios, the lowest and the highest.

    The two values of a round ran one after the other, so that other load on the machine is in both.
    """
    ratios = sorted(one / other for one, other in zip(measured, reference, strict=True))
    return Ratio(statistics.median(ratios), ratios[0], ratios[-1])


def over_rounds(rounds: Sequence[Measurement]) -> dict[str, Any]:
    """Aggregate field by field: the median of rates and times, the sum of everything that went wrong."""
    latency = {
        name: statistics.median(getattr(one.latency_s, name) for one in rounds)
        for name in ("mean", "p50", "p95", "p99")
    }
    medians = {
        name: statistics.median(getattr(one, name) for one in rounds)
        for name in ("total_s", "tokens_per_s", "rps", "client_share")
    }
    sums = {
        name: sum(getattr(one, name) for one in rounds)
        for name in ("errors", "wrong_answer", "wrong_adapter", "wrong_length")
    }
    return {
        "requests": rounds[0].requests,
        **medians,
        "latency_s": latency,
        **sums,
        "first_error": next((one.first_error for one in rounds if one.first_error), None),
    }
