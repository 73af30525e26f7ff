"""Lengths of prompts and answers in tokens: fixed, uniform, or those of a trace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loraserve.workload.errors import WorkloadError
from loraserve.workload.numbers import token_count

#: Values of `parse_lengths`, for help and errors.
LENGTHS = "fixed:N, uniform:A-B or trace"


@dataclass(frozen=True)
class UniformLengths:
    """Whole numbers from `low` to `high`, both included, equally likely; equal bounds are a fixed length."""

    low: int
    high: int

    def draw(self, random: np.random.Generator, count: int) -> NDArray[np.int32]:
        """Return `count` lengths."""
        return random.integers(self.low, self.high, count, dtype=np.int32, endpoint=True)


@dataclass(frozen=True)
class TraceLengths:
    """The lengths of the trace whose arrival times are used, request by request."""


Lengths = UniformLengths | TraceLengths


def parse_lengths(text: str) -> Lengths:
    """Return the lengths that a text describes: `fixed:N`, `uniform:A-B` or `trace`.

    Raises:
        WorkloadError: for any other text.
    """
    kind, colon, value = text.partition(":")
    match kind, colon:
        case "fixed", ":":
            length = token_count(value, text)
            return UniformLengths(length, length)
        case "uniform", ":":
            low, _, high = value.partition("-")
            bounds = UniformLengths(token_count(low, text), token_count(high, text))
            if bounds.low > bounds.high:
                raise WorkloadError(f"{text}: write the smaller length first")
            return bounds
        case "trace", "":
            return TraceLengths()
    raise WorkloadError(f"lengths {text!r}: use {LENGTHS}")
