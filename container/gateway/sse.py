"""Server-sent events: the subset that both engines use, `data:` lines with JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson

from container.gateway.errors import GatewayError

#: Bytes of one line. vLLM merges the tokens that a slow reader has not read into one event: 4,096 tokens (the
#: default of MAX_TOTAL_TOKENS) with 21 log probabilities of about 95 bytes for each are 8.2 MB.
MAX_EVENT_BYTES = 8 * 1024 * 1024
#: The end mark of an OpenAI-style stream.
DONE = b"[DONE]"
END_EVENT = b"data: " + DONE + b"\n\n"


def encode_event(payload: dict[str, Any]) -> bytes:
    """Encode one event, with a space after the colon as LoRAX does."""
    return b"data: " + orjson.dumps(payload) + b"\n\n"


async def read_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of an engine's answer, without comments and without the end mark.

    Raises `ValueError` for a line that is not a JSON object, `GatewayError` for one above `MAX_EVENT_BYTES`.
    """
    rest = bytearray()
    async for chunk in chunks:
        rest += chunk
        # Splits only at a line's end: a line that arrives in many chunks is not scanned again for each.
        if b"\n" in chunk:
            *lines, rest = rest.split(b"\n")
            for line in lines:
                data = line.removeprefix(b"data:").strip()
                if line.startswith(b"data:") and data != DONE:
                    event = orjson.loads(data)
                    if not isinstance(event, dict):
                        raise ValueError("an event that is no object")
                    yield event
        if len(rest) > MAX_EVENT_BYTES:
            raise GatewayError.oversized("event", MAX_EVENT_BYTES)
