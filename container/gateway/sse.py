"""Server-sent events, as far as both engines use them: `data:` lines with JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

#: The end mark of an OpenAI-style stream.
DONE = b"[DONE]"


def encode_event(payload: dict[str, Any]) -> bytes:
    """One event; the space after the colon is LoRAX's."""
    return b"data: " + json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


async def read_events(content: aiohttp.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """The events of an engine's answer; comments and the end mark are left out."""
    buffer = b""
    async for chunk in content.iter_any():
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            data = line.removeprefix(b"data:").strip()
            if line.startswith(b"data:") and data != DONE:
                yield json.loads(data)
