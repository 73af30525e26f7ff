"""Streams of InvokeEndpointWithResponseStream: AWS event stream messages.

The messages are those of `ResponseStream` in botocore's model of sagemaker-runtime (2017-05-13): PayloadPart
with the container's bytes, cut anywhere, and the exceptions ModelStreamError and InternalStreamFailure.
"""

from __future__ import annotations

import json

from botocore.eventstream import EventStreamBuffer, ParserError


class PayloadReader:
    """Reads the container's bytes from an AWS event stream."""

    def __init__(self) -> None:
        """Begin with an empty buffer."""
        self.failure: str | None = None
        """The text of an exception in the stream, or of damage to it; nothing is read after it."""
        self._buffer = EventStreamBuffer()

    def feed(self, data: bytes) -> bytes:
        """Return the container's bytes of the messages that `data` completes, up to a failure."""
        parts = []
        self._buffer.add_data(data)
        try:
            for message in self._buffer:
                if message.headers.get(":message-type") != "event":
                    self.failure = _exception_text(message.headers, message.payload)
                    break
                if message.headers.get(":event-type") == "PayloadPart":
                    parts.append(message.payload)
        except ParserError as error:
            self.failure = f"the event stream is damaged: {error}"
        return b"".join(parts)


def _exception_text(headers: dict[str, str], payload: bytes) -> str:
    """Return the name and the text of an exception message, or of an error message, which has no payload."""
    name = headers.get(":exception-type") or headers.get(":error-code") or "an unnamed exception"
    try:
        members = json.loads(payload or b"{}")
    except ValueError:
        members = {}
    text = members.get("Message") or members.get("message") or headers.get(":error-message") or ""
    code = members.get("ErrorCode")
    return f"{name}{f' {code}' if code else ''}: {text}"
