"""Seconds from a decision to add an instance until it serves."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from loraserve.simulation.errors import SimulationError

#: Between published starts of ml.g5.xlarge, 346 s and, with cached container images, 216 s: assumed.
DEFAULT_START_S: Final = 330.0
START_TIMES: Final = "seconds, or lognormal:MEDIAN,SIGMA"
_NUMBER = r"\d+(?:\.\d+)?"


@dataclass(frozen=True)
class StartTimes:
    """A lognormal distribution of start times; with `sigma` 0 all take the median."""

    median_s: float = DEFAULT_START_S
    sigma: float = 0.0
    """Standard deviation of the logarithm."""

    def draw(self, random: np.random.Generator) -> float:
        """Return the seconds of one start."""
        if self.sigma == 0:
            return self.median_s
        return float(random.lognormal(math.log(self.median_s), self.sigma))


def parse_start_times(text: str) -> StartTimes:
    """Return the start times of `330` or `lognormal:330,0.3`.

    Raises:
        SimulationError: it is neither.
    """
    if re.fullmatch(_NUMBER, text) and float(text) > 0:
        return StartTimes(float(text))
    match = re.fullmatch(rf"lognormal:({_NUMBER}),({_NUMBER})", text)
    if match is None or float(match[1]) == 0:
        raise SimulationError(f"start seconds {text!r}: give {START_TIMES}, e.g. lognormal:330,0.3")
    return StartTimes(float(match[1]), float(match[2]))
