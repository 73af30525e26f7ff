"""The source of a load test's requests, read from the texts of its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loraserve.load.adapter_names import parse_adapters
from loraserve.load.prompts import SAMPLES, LoadPrompt, adapters_of, read_prompts, sample_prompts
from loraserve.load.request_draw import RequestLaws, draw_requests, requests_of
from loraserve.load.requests import LoadRequests
from loraserve.workload.arrivals import Arrivals, ClosedLoopArrivals, Extent, TraceArrivals, parse_arrivals
from loraserve.workload.errors import WorkloadError
from stacks.project import ROOT

#: Seconds of an open loop without a duration and a number of requests.
DURATION_S = 60.0


@dataclass(frozen=True, kw_only=True)
class RequestSource:
    """Laws, adapters and prompts from which the requests of each run are drawn."""

    laws: RequestLaws
    arrivals: Arrivals
    adapters: Sequence[str] = ()
    prompts: Sequence[LoadPrompt] = ()
    """Prompts to draw from; empty for random words."""
    listed: Sequence[LoadPrompt] = ()
    """The requests of a file, instead of drawn ones."""
    count: int | None = None
    duration_s: float | None = None
    """Seconds in which requests are due; None without `count` is for a trace: all of it."""

    def at(self, rate: float | None) -> LoadRequests:
        """Return the requests at a mean rate per second; None: a trace's own, or a closed loop.

        Raises:
            WorkloadError: no request is due.
            PromptsError: no prompt is for an adapter that is drawn.
        """
        extent = Extent(rate=rate, duration_s=self.duration_s, requests=self.count)
        if self.listed:
            found = requests_of(self.listed, self.laws, self.arrivals, extent)
        else:
            found = draw_requests(self.laws, self.arrivals, extent, self.adapters, self.prompts)
        if not len(found.workload):
            raise WorkloadError("no request is due: raise --rate, --duration or --requests")
        return found


def request_source(
    laws: RequestLaws,
    *,
    arrivals: str,
    adapters: str,
    prompts: str,
    requests: str,
    duration_s: float | None,
    is_closed: bool,
) -> RequestSource:
    """Return the source that the options of `load-test` describe.

    Args:
        laws: the laws of the draws.
        arrivals: of `parse_arrivals`; a closed loop has none.
        adapters: of `parse_adapters`; empty: those of the prompts, or else the base model alone.
        prompts: a file, `@samples`, or empty for random words.
        requests: a number, a file with each request, or empty.
        duration_s: seconds in which requests are due; None: 60, unless there is another end.
        is_closed: True for a closed loop.

    Raises:
        WorkloadError: unusable arrivals, or a closed loop without a number of requests.
        PromptsError: unusable prompts.
        AdapterNamesError: unusable names.
    """
    count = int(requests) if requests.isdigit() else None
    listed = read_prompts(Path(requests)) if requests and count is None else []
    names = parse_adapters(adapters, ROOT / "stages") if adapters else ()
    asked: list[LoadPrompt] = []
    if prompts == SAMPLES:
        asked = sample_prompts(names, laws.seed)
    elif prompts:
        asked = read_prompts(Path(prompts))
        names = names or adapters_of(asked)
    if is_closed and count is None and not listed:
        raise WorkloadError("--clients: a closed loop has no arrival times: give --requests")
    source = ClosedLoopArrivals() if is_closed else parse_arrivals(arrivals)
    has_end = count is not None or listed or isinstance(source, TraceArrivals)
    if duration_s is None and not has_end:
        duration_s = DURATION_S
    return RequestSource(
        laws=laws,
        arrivals=source,
        adapters=names,
        prompts=asked,
        listed=listed,
        count=count,
        # The duration of a closed loop ends its sending; it has no schedule.
        duration_s=None if is_closed else duration_s,
    )
