"""A load test's job and its raw results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from loraserve.load.health import Health
from loraserve.load.result import RequestResult
from loraserve.workload.workload import Workload

#: Returns the body of the request with this index of the workload. It is sent to the generator's processes:
#: it is picklable, such as a function of a module, or an instance of a class that has `__call__`.
BodyBuilder = Callable[[int], bytes]


@dataclass(frozen=True, kw_only=True)
class Target:
    """The URL that requests are posted to."""

    url: str
    """With scheme, host and path, which is sent as it is written here."""
    region: str | None = None
    """Region that requests are signed for; None for a server without signatures (a container, an engine)."""
    adapter_affine: bool = False
    """True if requests have the id by which prefix-aware routing finds their adapter's instance."""


@dataclass(frozen=True, kw_only=True)
class LoadJob:
    """The requests of one run, and their timing.

    open: request n is sent at `workload.due_s[n]`, even if earlier ones have no answer yet;
    closed: each of `clients` sends its next request when it has the answer to the previous one, so that a
    slow endpoint is asked less: the requests that would have waited are not seen.
    """

    target: Target
    workload: Workload
    bodies: Sequence[bytes] | BodyBuilder
    """The JSON of each request, or a function that makes it."""
    mode: Literal["open", "closed"] = "open"
    clients: int = 1
    """Requests in flight of a closed run; an open one does not use it."""
    max_in_flight: int | None = None
    """An open run withholds a request that is due while as many are in flight; None: it never does."""
    warm_up_s: float = 0.0
    """Requests due before it are sent and are among the results; `Health` does not count them."""
    duration_s: float | None = None
    """Seconds after which no request is sent any more; None: the run ends with the last answer."""
    timeout_s: float = 490.0
    """Seconds for a whole answer. SageMaker ends a stream after 480 s and a whole answer after 60 s."""
    cores: int = 1
    """Processes that send, each a core's worth: process k sends the requests k, k + cores, …"""
    keep_text: bool = True
    """False drops the answers' texts, which need most of a long run's memory."""

    def body(self, index: int) -> bytes:
        """Return the body of request `index`."""
        return self.bodies(index) if callable(self.bodies) else self.bodies[index]


@dataclass(frozen=True, kw_only=True)
class LoadRun:
    """The results of a job."""

    results: Sequence[RequestResult]
    """In the order of their index; without the requests that had no end when the run was interrupted."""
    health: Health
    began_ns: int
    """`time.monotonic_ns` at the run's second 0, a clock that all processes of the machine share."""
    duration_s: float
    """Seconds until the last request ended."""
    interrupted: bool = False
    """True after Ctrl-C: the results are those until then."""
    unfinished: int = 0
    """Requests in flight when the run was interrupted."""
