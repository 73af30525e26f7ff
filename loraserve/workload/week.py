"""Generator of days of traffic with the figures of ServeGen's m-large trace.

All constants without another source are computed from alibaba/ServeGen@f891d11, data/language/m-large: 162
clients, 14 days, 237 million requests, in windows of 600 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from loraserve.workload.draw import draw_adapters, numbered
from loraserve.workload.workload import Workload
from stacks.sizing.popularity import zipf

WINDOW_S: Final = 600
_WINDOWS_A_DAY: Final = 144
#: Mean rate of each hour of the day, 1 is the mean.
_HOURS: Final = (
    *(0.99, 1.00, 0.99, 0.94, 0.91, 0.88, 0.85, 0.82, 0.79, 0.87, 1.05, 1.11),
    *(0.97, 0.98, 1.05, 1.05, 1.11, 1.08, 1.04, 1.14, 1.13, 1.07, 1.10, 1.09),
)
#: Mean rate of each day of the week, averaged over both weeks.
_DAYS: Final = (1.33, 1.13, 1.01, 0.79, 0.86, 0.74, 1.17)
#: Logarithm of a window's rate, without hour and day: standard deviation, correlation with the window before.
_NOISE, _CORRELATION = 0.28, 0.82
#: Distribution of the windows' rates: share of the windows, and rate ÷ mean. The largest is a burst.
_SHARES: Final = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1)
_RATES: Final = (0.247, 0.321, 0.430, 0.536, 0.748, 0.955, 1.178, 1.574, 1.745, 2.082, 2.977)
#: Coefficient of variation of the gaps in a window, of all clients together: median of the first 72 windows.
GAP_CV: Final = 1.12
#: Popularity of the clients, which take the place of adapters: the fitted law. The first 1, 5, 10 and 20 send
#: 16, 43, 63 and 78 % of the requests, those of the law 34, 64, 75 and 84 %.
CLIENTS: Final = 162
EXPONENT: Final = 1.37
#: Lengths of prompts and answers: quantiles of Azure's trace of 2023, AzureLLMInferenceTrace_conv.csv.
_LENGTH_SHARES: Final = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1)
_INPUT_TOKENS: Final = (2, 207, 396, 1020, 1189, 2734, 4083, 4142, 14050)
_OUTPUT_TOKENS: Final = (7, 54, 85, 129, 395, 424, 451, 601, 1000)


@dataclass(frozen=True, kw_only=True)
class SyntheticWeek:
    """Days of traffic. Equal values draw equal requests, byte for byte."""

    rate: float = 20.0
    """Mean requests per second."""
    days: int = 7
    """Length; the weekly pattern repeats after 7."""
    cv: float = GAP_CV
    """Coefficient of variation of the gaps, relative to the rate of their time."""
    adapters: int = CLIENTS
    """Number of adapters, named `adapter-1` and so on."""
    zipf: float = EXPONENT
    """Exponent of their popularity."""
    seed: int = 0

    @property
    def duration_s(self) -> float:
        """Seconds of traffic."""
        return self.days * 86400.0

    def rates(self) -> NDArray[np.float64]:
        """Return the expected requests of each second."""
        return np.repeat(self._window_rates(), WINDOW_S)

    def draw(self) -> Workload:
        """Return the requests, 20 bytes each."""
        times, shares, inputs, outputs = self._streams()[1:]
        expected = np.concatenate([[0.0], np.cumsum(self._window_rates() * WINDOW_S)])
        # Arrivals at rate 1, whose time is then stretched or compressed by the rate of each window.
        count = int(expected[-1] + 10 * max(self.cv, 1) * np.sqrt(expected[-1])) + 1
        arrived = np.cumsum(times.gamma(1 / self.cv**2, self.cv**2, count))
        arrived = arrived[arrived < expected[-1]]
        due_s = np.interp(arrived, expected, np.arange(len(expected)) * float(WINDOW_S))
        return Workload(
            due_s=due_s,
            adapter=draw_adapters(shares, zipf(self.adapters, self.zipf), 0.0, len(due_s)),
            input_tokens=_lengths(inputs, _INPUT_TOKENS, len(due_s)),
            output_tokens=_lengths(outputs, _OUTPUT_TOKENS, len(due_s)),
            adapters=numbered(self.adapters),
        )

    def _streams(self) -> list[np.random.Generator]:
        return [np.random.default_rng(child) for child in np.random.SeedSequence(self.seed).spawn(5)]

    def _window_rates(self) -> NDArray[np.float64]:
        return relative_rates(self.days, self._streams()[0]) * self.rate


def relative_rates(days: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return the rate of each window of 600 s, in units of the mean rate.

    Hour, day and correlated noise give the order of the windows' rates; their values are those measured.
    """
    count = days * _WINDOWS_A_DAY
    noise = np.empty(count)
    steps = random.normal(size=count)
    noise[0] = steps[0]
    for window in range(1, count):
        noise[window] = _CORRELATION * noise[window - 1] + np.sqrt(1 - _CORRELATION**2) * steps[window]
    hours = np.tile(np.repeat(_HOURS, _WINDOWS_A_DAY // 24), days)
    of_day = np.repeat(np.resize(_DAYS, days), _WINDOWS_A_DAY)
    rank = np.argsort(np.argsort(hours * of_day * np.exp(_NOISE * noise)))
    rates: NDArray[np.float64] = np.interp(rank / (count - 1), _SHARES, _RATES)
    return rates / np.mean(rates)


def _lengths(random: np.random.Generator, quantiles: tuple[int, ...], count: int) -> NDArray[np.int32]:
    return np.interp(random.random(count), _LENGTH_SHARES, quantiles).astype(np.int32)
