"""The latency that a request must keep: time to the first token, between tokens, and to the end."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from loraserve.errors import UserError
from loraserve.load.result import RequestResult

#: Keys of `--slo`, in the words of the field: time to first token, inter-token latency, end to end.
KEYS: Final = ("ttft", "itl", "e2e")
_PART = re.compile(r"(?P<key>[a-z0-9]+)=(?P<value>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?P<unit>ms|s)")
_SECONDS: Final = {"ms": 1e-3, "s": 1.0}


class SloError(UserError):
    """A text that is no service level objective."""

    exit_code = 2


@dataclass(frozen=True, kw_only=True)
class LatencySlo:
    """Bounds of a request's latencies, in seconds; None without a bound."""

    ttft_s: float | None = None
    """From the time at which the request is due to its first token."""
    itl_s: float | None = None
    """Mean time between the tokens of the request, as in `vllm bench serve --goodput tpot`."""
    e2e_s: float | None = None
    """From the time at which the request is due to its end."""

    def is_kept(self, result: RequestResult) -> bool:
        """Return whether a successful request keeps every bound.

        A bound of a time that the request does not have, such as the first token of an answer without
        stream, does not count.
        """
        first, gaps = result.first_token_s, result.token_gaps_s
        if self.ttft_s is not None and first is not None and first - result.due_s > self.ttft_s:
            return False
        if self.itl_s is not None and len(gaps) and sum(gaps) / len(gaps) > self.itl_s:
            return False
        return self.e2e_s is None or result.latency_s <= self.e2e_s

    def __str__(self) -> str:
        """Return the text that `parse_slo` reads; empty without a bound."""
        bounds = zip(KEYS, (self.ttft_s, self.itl_s, self.e2e_s), strict=True)
        return ",".join(f"{key}={seconds:g}s" for key, seconds in bounds if seconds is not None)


def parse_slo(text: str) -> LatencySlo:
    """Read `ttft=500ms,itl=50ms,e2e=4s`, each part optional; raises `SloError`."""
    bounds: dict[str, float] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        match = _PART.fullmatch(part)
        if match is None or match["key"] not in KEYS:
            raise SloError(f"--slo: {part!r} is not a bound: write ttft=500ms, itl=50ms or e2e=4s")
        if match["key"] in bounds:
            raise SloError(f"--slo: {match['key']} is there twice: keep one of them")
        seconds = float(match["value"]) * _SECONDS[match["unit"]]
        if seconds <= 0:
            raise SloError(f"--slo: {part!r}: write a time above 0")
        bounds[match["key"]] = seconds
    return LatencySlo(ttft_s=bounds.get("ttft"), itl_s=bounds.get("itl"), e2e_s=bounds.get("e2e"))


def parse_fail_under(text: str) -> float:
    """Return the least goodput of `goodput=0.99`, 0 to 1; raises `SloError`."""
    name, _, value = text.partition("=")
    try:
        share = float(value)
    except ValueError:
        share = math.nan
    if name.strip() != "goodput" or not 0 <= share <= 1:
        raise SloError(f"--fail-under: {text!r}: write goodput=0.99, a share of 0 to 1")
    return share
