"""A workload: when each request arrives, for which adapter, and how long it is."""

from __future__ import annotations

from dataclasses import dataclass

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
