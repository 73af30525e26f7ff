"""The metrics that SageMaker publishes of its endpoints, for one account.

Names, units and meanings are those of "Amazon SageMaker AI metrics in Amazon CloudWatch", with the
dimensions EndpointName and VariantName; Invocations also with EndpointConfigName, which the alarms of new
fleets in "Auto-Rollback Configuration and Monitoring" have. SageMaker publishes each minute, and
ConcurrentRequestsPerModel each ten seconds; here they are published each second that has data.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from laptop_cloud.api.service import Params
from laptop_cloud.sagemaker.fleet import Member

_INTERVAL_S: Final = 1.0
#: Values in one datum of PutMetricData, CloudWatch's limit.
_VALUES: Final = 150
_UNITS: Final = {"ModelLatency": "Microseconds", "OverheadLatency": "Microseconds"}

#: Names and values of a metric's dimensions.
_Dimensions = tuple[tuple[str, str], ...]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InvocationOutcome:
    """The outcome of one invocation.

    `status` is the status of the container's response, 0 if the response is missing or broken, and None if
    the client disconnected before it. Times are in seconds.
    """

    status: int | None
    model_s: float
    overhead_s: float


class Metrics:
    """A collector of metrics: a few additions per request, published in the background."""

    def __init__(self, put: Callable[[list[Params]], Awaitable[None]]) -> None:
        """`put` publishes data in the format of PutMetricData."""
        self._put = put
        self._values: dict[tuple[str, _Dimensions], Counter[float]] = {}
        self._peaks: dict[Member, tuple[str, int]] = {}
        self._flushing: asyncio.Task[None] | None = None

    def began(self, endpoint: str, member: Member) -> None:
        """Count a request that has been sent to an instance; the instance has it in flight already."""
        _, peak = self._peaks.get(member, (endpoint, 0))
        self._peaks[member] = endpoint, max(peak, member.in_flight)
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush_while_busy())

    def ended(self, endpoint: str, member: Member, outcome: InvocationOutcome) -> None:
        """Record the outcome of a request at an instance.

        A missing response counts among the 5XX errors: the client gets "server error (0)".
        """
        status = outcome.status
        broke = status is not None and (status == 0 or status >= 500)
        values = {
            "Invocations": 1.0,
            "Invocation4XXErrors": float(status is not None and 400 <= status < 500),
            "Invocation5XXErrors": float(broke),
            "InvocationModelErrors": float(status is not None and not 200 <= status < 300),
            "ModelLatency": _two_digits(outcome.model_s * 1e6),
            "OverheadLatency": _two_digits(outcome.overhead_s * 1e6),
        }
        dimensions = _dimensions(endpoint, member)
        for name, value in values.items():
            self._values.setdefault((name, dimensions), Counter())[value] += 1
        fleet = (*dimensions, ("EndpointConfigName", member.config))
        self._values.setdefault(("Invocations", fleet), Counter())[1.0] += 1

    async def _flush_while_busy(self) -> None:
        while self._peaks or self._values:
            await asyncio.sleep(_INTERVAL_S)
            data = self._taken()
            try:
                await self._put(data)
            except (BotoCoreError, ClientError) as error:
                _log.warning("metrics of this second are lost: %s", error)
        self._flushing = None

    def _taken(self) -> list[Params]:
        values, self._values = self._values, {}
        peaks, self._peaks = self._peaks, {}
        for member, (endpoint, peak) in peaks.items():
            key = ("ConcurrentRequestsPerModel", _dimensions(endpoint, member))
            values.setdefault(key, Counter())[float(peak)] += 1
            if member.in_flight:
                self._peaks[member] = endpoint, member.in_flight
        return [datum for key, counts in values.items() for datum in _data(key, counts)]


def _dimensions(endpoint: str, member: Member) -> _Dimensions:
    return ("EndpointName", endpoint), ("VariantName", member.instance.variant)


def _data(key: tuple[str, _Dimensions], counts: Counter[float]) -> list[Params]:
    name, of = key
    pairs = list(counts.items())
    dimensions = [{"Name": dimension, "Value": value} for dimension, value in of]
    return [
        {
            "MetricName": name,
            "Dimensions": dimensions,
            "Unit": _UNITS.get(name, "None"),
            "Values": [value for value, _ in pairs[start : start + _VALUES]],
            "Counts": [float(count) for _, count in pairs[start : start + _VALUES]],
        }
        for start in range(0, len(pairs), _VALUES)
    ]


def _two_digits(value: float) -> float:
    """Round to two significant digits, so that many latencies of a second are one value."""
    return float(f"{value:.1e}")
