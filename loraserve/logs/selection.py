"""The requests that `logs` shows, as a filter pattern of CloudWatch Logs and as a test of a line.

CloudWatch Logs sends the lines that the pattern selects; the laptop cloud does not read patterns of JSON and
sends all. The same rule is applied to each line that came.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from loraserve.logs.logged_request import LoggedRequest

#: Status from which a request counts as failed.
_ERROR = 400


@dataclass(frozen=True, kw_only=True)
class RequestSelection:
    """Errors and slow requests."""

    adapter: str | None
    """Name of the adapter; None for the base model and every adapter."""
    slow_seconds: float
    """A request that took longer is slow."""
    every: bool = False
    """Select the others, too."""

    @property
    def pattern(self) -> str:
        """The filter pattern (CloudWatch Logs User Guide, "Filter pattern syntax")."""
        terms = ['$.log = "access"']
        if self.adapter is not None:
            terms.append(f"$.adapter = {json.dumps(self.adapter)}")
        if not self.every:
            terms.append(f"($.status >= {_ERROR} || $.seconds > {self.slow_seconds:g})")
        return "{ " + " && ".join(terms) + " }"

    def includes(self, request: LoggedRequest) -> bool:
        """Return whether the request is one of them."""
        if self.adapter is not None and request.line["adapter"] != self.adapter:
            return False
        return self.every or self.is_error(request) or self.is_slow(request)

    def is_error(self, request: LoggedRequest) -> bool:
        """Return whether it failed."""
        return request.status >= _ERROR

    def is_slow(self, request: LoggedRequest) -> bool:
        """Return whether it took longer than the limit."""
        return request.seconds > self.slow_seconds
