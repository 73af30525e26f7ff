"""Which adapters are in the engine's memory, as the engine itself reports it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: Age in seconds up to which a report is not asked for again: each makes the engine's loop wait for a moment.
FRESH_SECONDS = 1.0
#: Time limit of a report: an engine in a long step answers after it.
PATIENCE_SECONDS = 2.0
#: Counts of a report, by adapter, since the engine's start; see `container.vllm.resident_adapters.Uses`.
USES = ("slot_hits", "memory_hits", "disk_loads", "slot_evictions", "memory_evictions")


@dataclass(frozen=True)
class Residency:
    """A report of the engine; adapters are engine ids."""

    slots: frozenset[str]
    """In a slot: a request begins at once."""
    memory: frozenset[str]
    """In host memory, those in slots included: copying one to a slot takes milliseconds."""
    uses: Mapping[str, Mapping[str, int]]
    """The counts named in `USES`, by adapter."""

    @staticmethod
    def from_json(report: Mapping[str, Any]) -> Residency:
        """Read the report of `container.vllm.routes`."""
        return Residency(frozenset(report["slots"]), frozenset(report["memory"]), report["uses"])

    def total(self, use: str) -> int:
        """Return the sum of one of `USES` over all adapters."""
        return sum(uses[use] for uses in self.uses.values())


class ResidencyReader:
    """Holds the engine's latest report."""

    def __init__(self, report: Callable[[], Awaitable[Residency | None]]) -> None:
        """`report` asks the engine; None if it reports nothing of this."""
        self._report = report
        self._asked_at = -FRESH_SECONDS
        self.latest: Residency | None = None

    async def refresh(self) -> None:
        """Ask the engine, unless that was just done; keep the old report if it does not answer in time."""
        if time.monotonic() - self._asked_at < FRESH_SECONDS:
            return
        self._asked_at = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                self.latest = await self._report() or self.latest
        except TimeoutError:
            return
