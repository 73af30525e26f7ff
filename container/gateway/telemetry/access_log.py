"""Access log: one JSON line on stdout for each request, with adapter, status, times and token counts.

It never has a prompt, an answer or a token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import orjson

from container.gateway.request_context import Phase, RequestContext

#: Seconds between writes: at a thousand requests per second a write each would cost as much as a request.
FLUSH_SECONDS = 0.1


class AccessLog:
    """Buffers lines and writes them in batches."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        """`write` takes whole lines."""
        self._write = write
        self._lines: list[bytes] = []

    def add(self, context: RequestContext) -> None:
        """Log a finished request; needs a running event loop."""
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        self._lines.append(orjson.dumps(access_line(context), option=orjson.OPT_APPEND_NEWLINE))

    def flush(self) -> None:
        """Write the buffered lines."""
        lines, self._lines = self._lines, []
        if lines:
            self._write(b"".join(lines))


def access_line(context: RequestContext) -> dict[str, object]:
    """Return the line of a request; times are seconds, null for a phase that it did not enter."""
    waited = context.waited
    return {
        "log": "access",
        "time": round(time.time(), 3),
        "request_id": context.request_id,
        "route": context.route,
        "adapter": context.adapter,
        "revision": context.revision,
        "stream": context.stream,
        "status": context.status,
        "error_type": context.error_type,
        "seconds": round(context.seconds, 4),
        "load_seconds": _rounded(waited.get(Phase.LOADING)),
        "queue_seconds": _rounded(waited.get(Phase.QUEUE)),
        "engine_seconds": _rounded(waited.get(Phase.ENGINE)),
        "first_token_seconds": _rounded(context.first_token_seconds),
        "prompt_tokens": context.usage.prompt_tokens,
        "generated_tokens": context.usage.generated_tokens,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
