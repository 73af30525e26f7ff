"""A line of the gateway's access log; `container/gateway/telemetry/access_log.py` writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

#: The phases that a line has the seconds of, with the words for them.
_PHASES = {"load_seconds": "load", "queue_seconds": "queue", "engine_seconds": "engine"}


@dataclass(frozen=True)
class LoggedRequest:
    """A finished request. It has neither a prompt nor an answer: the log has none."""

    line: dict[str, Any]
    """The line as it was logged."""

    @property
    def id(self) -> str:
        """The request's id, which the endpoint's answer has, too (`CustomAttributes`)."""
        return str(self.line["request_id"])

    @property
    def ended(self) -> datetime:
        """Time of its end, UTC."""
        return datetime.fromtimestamp(self.line["time"], UTC)

    @property
    def adapter(self) -> str:
        """Name and revision; `-` for the base model and for a name that is not published."""
        name, revision = self.line["adapter"], self.line["revision"]
        return "-" if name is None else f"{name}@{revision}" if revision else str(name)

    @property
    def status(self) -> int:
        """HTTP status; after an error in an open stream the error's."""
        return int(self.line["status"])

    @property
    def error(self) -> str | None:
        """Type of the error; None for a request that ended well."""
        found = self.line["error_type"]
        return None if found is None else str(found)

    @property
    def seconds(self) -> float:
        """From its arrival to the end of its answer."""
        return float(self.line["seconds"])

    @property
    def phases(self) -> str:
        """Seconds of each phase that it entered, e.g. `load 1.2, queue 0.0, engine 3.1`."""
        known = {word: self.line.get(key) for key, word in _PHASES.items()}
        return ", ".join(f"{word} {seconds:.1f}" for word, seconds in known.items() if seconds is not None)


def logged_request(message: str) -> LoggedRequest | None:
    """Parse a line of the endpoint's log; None for any other line than one of the access log."""
    try:
        line = json.loads(message)
    except ValueError:
        return None
    if not isinstance(line, dict) or line.get("log") != "access":
        return None
    return LoggedRequest(line)
