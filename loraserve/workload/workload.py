"""A workload: when each request arrives, for which adapter, and how long it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

#: Index of the base model in `Workload.adapter`.
BASE = -1


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Requests in the order of their arrival; the arrays have one item per request."""

    due_s: NDArray[np.float64]
    """Seconds after the start, ascending."""
    adapter: NDArray[np.int32]
    """Index into `adapters`, or `BASE`."""
    input_tokens: NDArray[np.int32]
    output_tokens: NDArray[np.int32]
    adapters: tuple[str, ...] = ()
    """Names; empty for a trace without adapters, all of whose requests are of `BASE`."""

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self.due_s)

    @property
    def duration_s(self) -> float:
        """Seconds from the start to the last arrival; 0 without requests."""
        return float(self.due_s[-1]) if len(self) else 0.0

    def name_of(self, index: int) -> str | None:
        """Return the adapter of request `index`; None for the base model."""
        adapter = int(self.adapter[index])
        return None if adapter == BASE else self.adapters[adapter]

    @property
    def rate(self) -> float:
        """Mean requests per second from the first to the last arrival; 0 with fewer than two requests."""
        if len(self) < 2 or self.due_s[-1] == self.due_s[0]:
            return 0.0
        return float((len(self) - 1) / (self.due_s[-1] - self.due_s[0]))

    def at_rate(self, rate: float) -> Workload:
        """Return the same requests at another mean rate: every gap is stretched by the same factor."""
        return replace(self, due_s=self.due_s * (self.rate / rate)) if self.rate else self

    def digest(self) -> str:
        """Return the SHA-256 of the requests: equal for equal workloads, on any machine."""
        digest = hashlib.sha256("\n".join(self.adapters).encode())
        digest.update(self.due_s.astype("<f8").tobytes())
        for numbers in (self.adapter, self.input_tokens, self.output_tokens):
            digest.update(numbers.astype("<i4").tobytes())
        return digest.hexdigest()
