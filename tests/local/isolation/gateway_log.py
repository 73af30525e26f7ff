"""What the gateway says of an adapter store that kept it waiting, on a machine that is busy."""

import re
from collections import Counter
from pathlib import Path

_STALE = re.compile(r"adapter (\S+): what the store said before is used")
_UNANSWERED = "the adapter store cannot be asked"


class GatewayLog:
    """The log of the one container of a laptop cloud, from now on."""

    def __init__(self, state: Path) -> None:
        """`state` is the laptop cloud's."""
        # A container that has died leaves its log.
        self._log = max((state / "endpoints").glob("*/*.log"), key=lambda log: log.stat().st_mtime)
        self._begin = self._log.stat().st_size

    def stale(self) -> Counter[str]:
        """How often an older answer was used on, for each name or pinned name."""
        return Counter(_STALE.findall(self._text()))

    def unanswered(self) -> int:
        """How many requests were told that the store does not answer."""
        return self._text().count(_UNANSWERED)

    def _text(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace")
