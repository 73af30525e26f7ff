"""One JSON line on stdout for each request: who asked what of which adapter, how it ended, how long it took.

Never a prompt, an answer or a token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import orjson

from container.gateway.request_context import Phase, RequestContext

#: Lines are written together: at a thousand requests a second each write would cost as much as a request.
FLUSH_SECONDS = 0.1


class AccessLog:
    """Collects lines and hands them to `write` together."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        """`write` takes whole lines."""
        self._write = write
        self._lines: list[bytes] = []

    def add(self, context: RequestContext) -> None:
        """Log a request that is over; needs a running event loop."""
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        self._lines.append(orjson.dumps(access_line(context), option=orjson.OPT_APPEND_NEWLINE))

    def flush(self) -> None:
        """Write what has been collected."""
        lines, self._lines = self._lines, []
        if lines:
            self._write(b"".join(lines))


def access_line(context: RequestContext) -> dict[str, object]:
    """What is logged of a request; times are seconds, null where something did not happen."""
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
