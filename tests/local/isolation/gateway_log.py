"""Log lines of the gateway about a slow adapter store, which a busy machine can cause."""

import re
from collections import Counter
from pathlib import Path

_STALE = re.compile(r"adapter (\S+): what the store said before is used")
_UNANSWERED = "the adapter store cannot be asked"


class GatewayLog:
    """The log of the only container of a laptop cloud, from now on."""

    def __init__(self, state: Path) -> None:
        """Find the log in `state`, the laptop cloud's state folder."""
        # The log of a container that has ended remains.
        self._log = max((state / "endpoints").glob("*/*.log"), key=lambda log: log.stat().st_mtime)
        self._begin = self._log.stat().st_size

    def stale(self) -> Counter[str]:
        """Count the uses of an older registry answer, for each name or pinned name."""
        return Counter(_STALE.findall(self._text()))

    def unanswered(self) -> int:
        """Count the requests that failed because the store did not answer."""
        return self._text().count(_UNANSWERED)

    def _text(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace")
