"""Durations as people write them: `90s`, `20m`, `1h`, `2d`."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_of(text: str) -> float | None:
    """Return the seconds of a duration; None for any other text."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text, re.ASCII)
    return None if match is None else float(match[1]) * _UNITS[match[2]]
