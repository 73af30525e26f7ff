"""A limit on tokens per minute, as a token bucket."""

from __future__ import annotations


class TokenBucket:
    """It holds a minute's tokens at most, and fills at the rate of the limit.

    A request takes its estimated tokens when it arrives, and gives back, or takes on top, what differs when
    the engine has counted them: the level may be below 0. One that asks for more than a minute's tokens
    passes when the bucket is full.
    """

    def __init__(self, per_minute: int, now: float) -> None:
        """Start full. Times are seconds of any clock."""
        self._per_minute = per_minute
        self._level = float(per_minute)
        self._filled = now

    def set_limit(self, per_minute: int, now: float) -> None:
        """Change the limit; the level stays, up to the new limit."""
        if per_minute != self._per_minute:
            self._fill(now)
            self._per_minute = per_minute
            self._level = min(self._level, per_minute)

    def wait(self, tokens: int, now: float) -> float:
        """Return the seconds until a request of so many tokens passes, 0 if it does now."""
        self._fill(now)
        missing = min(tokens, self._per_minute) - self._level
        return max(0.0, missing * 60 / self._per_minute)

    def take(self, tokens: int) -> None:
        """Take tokens; a negative number gives them back."""
        self._level = min(self._level - tokens, float(self._per_minute))

    def _fill(self, now: float) -> None:
        added = (now - self._filled) * self._per_minute / 60
        self._level = min(self._level + added, float(self._per_minute))
        self._filled = now
