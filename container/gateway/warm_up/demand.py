"""A count of the requests for each adapter in which old requests fade, in bounded memory.

Weights decay exponentially, by forward decay (Cormode et al., "Forward Decay", ICDE 2009): one addition for
each request. Names beyond the bound are counted by Space-Saving (Metwally et al., "Efficient Computation
of Frequent and Top-k Elements", ICDT 2005).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

#: Seconds in which a request loses half its weight: popularity by the time of day is followed within an hour,
#: and a minute's burst does not displace what is asked for all day.
HALF_LIFE_SECONDS = 900.0
#: Names that an instance counts. One whose weight is more than a 512th of all is always among them.
MAX_NAMES = 512
#: A weight below it is that of a single request, six half-lives ago.
LEAST_WEIGHT = 1 / 64
#: Half-lives after which the stored weights are scaled back: they grow as 2^x and must stay finite.
_RESCALE_HALF_LIVES = 30.0


def decayed(weight: float, seconds: float) -> float:
    """Return what is left of a weight after some seconds."""
    return float(weight * 0.5 ** (seconds / HALF_LIFE_SECONDS))


class AdapterDemand:
    """Weight of each adapter: its requests, each halved for every `HALF_LIFE_SECONDS` of its age.

    Holds names and weights, and nothing of a request.
    """

    def __init__(self, *, max_names: int = MAX_NAMES, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._max_names = max_names
        self._clock = clock
        self._since = clock()
        #: Weights in units of a request at `_since`.
        self._stored: dict[str, float] = {}
        #: Requests since the start.
        self.count = 0

    def add(self, name: str) -> None:
        """Count a request for an adapter.

        Beyond `max_names` a new name takes the place and the weight of the one with the least: so no weight
        is less than the true one, and none is more than it by above a share 1 / `max_names` of all.
        """
        one = self._growth()
        self.count += 1
        if name not in self._stored and len(self._stored) >= self._max_names:
            least = min(self._stored, key=self._stored.__getitem__)
            one += self._stored.pop(least)
        self._stored[name] = self._stored.get(name, 0.0) + one

    def weights(self) -> Mapping[str, float]:
        """Return the weights now, largest first, without those below `LEAST_WEIGHT`."""
        growth = self._growth()
        now = {name: stored / growth for name, stored in self._stored.items()}
        ranked = sorted(now.items(), key=lambda each: (-each[1], each[0]))
        return {name: weight for name, weight in ranked if weight >= LEAST_WEIGHT}

    def _growth(self) -> float:
        """Return the weight of a request now, in units of one at `_since`."""
        half_lives = (self._clock() - self._since) / HALF_LIFE_SECONDS
        if half_lives > _RESCALE_HALF_LIVES:
            self._stored = {name: stored * 0.5**half_lives for name, stored in self._stored.items()}
            self._since = self._clock()
            return 1.0
        return float(2.0**half_lives)
