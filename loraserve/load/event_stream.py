"""Streams of InvokeEndpointWithResponseStream: AWS event stream messages, and server-sent events in them.

The messages are those of `ResponseStream` in botocore's model of sagemaker-runtime (2017-05-13): PayloadPart
with the container's bytes, cut anywhere, and the exceptions ModelStreamError and InternalStreamFailure.
"""

from __future__ import annotations

import json

from botocore.eventstream import EventStreamBuffer, ParserError


class StreamFailure(Exception):
    """An exception in the stream, or bytes that are no event stream; the message is for reports."""


class PayloadReader:
    """Reads the container's bytes from an AWS event stream."""

    def __init__(self) -> None:
        """Begin with an empty buffer."""
        self._buffer = EventStreamBuffer()

    def feed(self, data: bytes) -> bytes:
        """Return the container's bytes of the messages that `data` completes.

        Raises:
            StreamFailure: a message is an exception, or `data` is damaged.
        """
        parts = []
        self._buffer.add_data(data)
        try:
            for message in self._buffer:
                if message.headers.get(":message-type") != "event":
                    raise StreamFailure(_exception_text(message.headers, message.payload))
                if message.headers.get(":event-type") == "PayloadPart":
                    parts.append(message.payload)
        except ParserError as error:
            raise StreamFailure(f"the event stream is damaged: {error}") from error
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


class EventSplitter:
    """Splits server-sent events, each with one line `data:`; they may be cut anywhere."""

    def __init__(self) -> None:
        """Begin with an empty buffer."""
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of each event that `chunk` completes."""
        *events, self._rest = (self._rest + chunk).replace(b"\r\n", b"\n").split(b"\n\n")
        return [
            line.removeprefix(b"data:").strip()
            for event in events
            for line in event.split(b"\n")
            if line.startswith(b"data:")
        ]
