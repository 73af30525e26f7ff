"""Numbers in the descriptions of a workload: `gamma:4`, `zipf:1.37`, `uniform:8-512`."""

from __future__ import annotations

import math

from loraserve.workload.errors import WorkloadError


def positive(text: str, described: str) -> float:
    """Return a finite number above 0.

    Raises:
        WorkloadError: for any other text; `described` is the whole description.
    """
    number = not_negative(text, described)
    if number == 0:
        raise WorkloadError(f"{described}: 0 is not allowed; give a number above 0")
    return number


def not_negative(text: str, described: str) -> float:
    """Return a finite number of at least 0.

    Raises:
        WorkloadError: for any other text; `described` is the whole description.
    """
    try:
        number = float(text)
    except ValueError:
        raise WorkloadError(f"{described}: {text!r} is no number; write one, such as 1.5") from None
    if not math.isfinite(number) or number < 0:
        raise WorkloadError(f"{described}: {text} is out of range; give a finite number of at least 0")
    return number


def token_count(text: str, described: str) -> int:
    """Return a number of tokens, at least 1.

    Raises:
        WorkloadError: for any other text; `described` is the whole description.
    """
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 10_000_000:
        raise WorkloadError(f"{described}: {text!r} is no number of tokens; write a whole number from 1")
    return int(text)
