"""One JSON line on stdout for each request: who asked what of which adapter, how it ended, how long it took.

Never a prompt, an answer or a token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import orjson

from container.gateway.request_context import Exchange, Phase

#: Lines are written together: at a thousand requests a second each write would cost as much as a request.
FLUSH_SECONDS = 0.1


class AccessLog:
    """Collects lines and hands them to `write` together."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        """`write` takes whole lines."""
        self._write = write
        self._lines: list[bytes] = []

    def add(self, exchange: Exchange) -> None:
        """Log a request that is over; needs a running event loop."""
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        self._lines.append(orjson.dumps(access_line(exchange), option=orjson.OPT_APPEND_NEWLINE))

    def flush(self) -> None:
        """Write what has been collected."""
        lines, self._lines = self._lines, []
        if lines:
            self._write(b"".join(lines))


def access_line(exchange: Exchange) -> dict[str, object]:
    """What is logged of a request; times are seconds, null where something did not happen."""
    waited = exchange.waited
    return {
        "log": "access",
        "time": round(time.time(), 3),
        "request_id": exchange.request_id,
        "route": exchange.route,
        "adapter": exchange.adapter,
        "revision": exchange.revision,
        "stream": exchange.stream,
        "status": exchange.status,
        "error_type": exchange.error_type,
        "seconds": round(exchange.seconds, 4),
        "load_seconds": _rounded(waited.get(Phase.LOADING)),
        "queue_seconds": _rounded(waited.get(Phase.QUEUE)),
        "engine_seconds": _rounded(waited.get(Phase.ENGINE)),
        "first_token_seconds": _rounded(exchange.first_token_seconds),
        "prompt_tokens": exchange.usage.prompt_tokens,
        "generated_tokens": exchange.usage.generated_tokens,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
