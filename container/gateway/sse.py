"""Server-sent events: the subset that both engines use, `data:` lines with JSON."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
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
    return encoded_event(orjson.dumps(payload))


def encoded_event(data: bytes) -> bytes:
    """Return the event whose JSON is `data`."""
    return b"data: " + data + b"\n\n"


def read_event(data: bytes) -> dict[str, Any]:
    """Parse the JSON of an engine's event; raise `GatewayError` if it is no object."""
    try:
        event = orjson.loads(data)
    except ValueError:
        raise GatewayError.incomplete() from None
    if not isinstance(event, dict):
        raise GatewayError.incomplete()
    return event


async def translated(
    chunks: AsyncIterator[bytes], translate: Callable[[bytes], bytes]
) -> AsyncGenerator[bytes]:
    """Yield the client's events for an engine's answer, without comments and without the end mark.

    `translate` gets the data of one event and returns any number of encoded ones. Those of one chunk are
    yielded together: events that arrived together are one write to the client. If `translate` raises, what it
    returned before comes first.

    Raises `GatewayError` for a line above `MAX_EVENT_BYTES`.
    """
    rest = bytearray()
    async for chunk in chunks:
        # Split before it joins the rest: a line that arrives in many chunks is not scanned again for each.
        lines = chunk.split(b"\n")
        if len(lines) == 1:
            rest += chunk
        else:
            if rest:
                lines[0] = bytes(rest + lines[0])
            rest = bytearray(lines.pop())
            ready = []
            try:
                for line in lines:
                    if line.startswith(b"data:") and (data := line[5:].strip()) != DONE:
                        ready.append(translate(data))
            except Exception:
                if events := b"".join(ready):
                    yield events
                raise
            if events := b"".join(ready):
                yield events
        if len(rest) > MAX_EVENT_BYTES:
            raise GatewayError.oversized("event", MAX_EVENT_BYTES)
