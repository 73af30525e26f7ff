"""Server-sent events, as far as both engines use them: `data:` lines with JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson

#: The end mark of an OpenAI-style stream.
DONE = b"[DONE]"
END_EVENT = b"data: " + DONE + b"\n\n"


def encode_event(payload: dict[str, Any]) -> bytes:
    """One event; the space after the colon is LoRAX's."""
    return b"data: " + orjson.dumps(payload) + b"\n\n"


async def read_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """The events of an engine's answer; comments and the end mark are left out.

    Raises `ValueError` for a line that is no JSON object.
    """
    buffer = b""
    async for chunk in chunks:
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            data = line.removeprefix(b"data:").strip()
            if line.startswith(b"data:") and data != DONE:
                event = orjson.loads(data)
                if not isinstance(event, dict):
                    raise ValueError("an event that is no object")
                yield event
