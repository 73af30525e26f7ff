"""Server-sent events, in which the container streams an answer."""

from __future__ import annotations


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
