"""The vLLM container with a first come, first served queue: what `benchmarks.fairness` compares with.

    python -m benchmarks.fifo_gateway serve

All requests are of one flow and need no slot, so the fair queue serves them in order of arrival, and refuses
the newest one when it is full.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from container.gateway import assembly
from container.gateway.adapters.registry import Adapter
from container.gateway.admission import Admission
from container.gateway.main import main
from container.gateway.request_context import RequestContext
from container.vllm.command import vllm_launch


class FifoAdmission(Admission):
    """Admission for which all requests are for the base model."""

    @asynccontextmanager
    async def engine_slot(self, context: RequestContext, adapter: Adapter | None) -> AsyncIterator[None]:
        """Wait for an engine slot, first come first served."""
        async with super().engine_slot(context, None):
            yield


if __name__ == "__main__":
    assembly.Admission = FifoAdmission  # type: ignore[attr-defined]
    sys.exit(main(sys.argv[1:], vllm_launch))
