"""Open-loop load on the demo's adapters: requests that are due whether or not earlier ones are answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loraserve.load.job import LoadJob
from loraserve.load.measure import MeasuredRun, measure
from loraserve.load.prompts import SAMPLES
from loraserve.load.request_draw import RequestLaws
from loraserve.load.request_source import request_source
from loraserve.load.signing import KeyChain, endpoint_target
from loraserve.load.slo import LatencySlo

#: Of a whole answer: twice and more what one takes on two cores that have little else to do.
DEFAULT_SLO = LatencySlo(e2e_s=2.0)


@dataclass(frozen=True, kw_only=True)
class OpenLoop:
    """The load of sample problems on an endpoint, by the load test's generator; every answer is checked."""

    endpoint: str
    runtime: Any
    """boto3 client of `sagemaker-runtime`."""
    credentials: KeyChain
    adapters: Sequence[str]
    duration_s: float = 7.0
    """Seconds in which requests are due."""
    slo: LatencySlo = DEFAULT_SLO
    """A request above it is answered, and does not count for goodput."""

    def at(self, rate: float, popularity: str = "zipf:1.0") -> MeasuredRun:
        """Send requests at Poisson arrivals of a mean `rate` per second, for adapters of that popularity.

        Raises:
            WorkloadError: an unusable rate or popularity, or no request is due.
        """
        source = request_source(
            RequestLaws(popularity=popularity),
            arrivals="poisson",
            adapters=",".join(self.adapters),
            prompts=SAMPLES,
            requests="",
            duration_s=self.duration_s,
            is_closed=False,
        )
        requests = source.at(rate)
        target = endpoint_target(self.runtime, self.endpoint, stream=True)
        job = LoadJob(target=target, workload=requests.workload, bodies=requests)
        return measure(
            self.endpoint, job, requests, slo=self.slo, credentials=self.credentials, advance=lambda _: None
        )
