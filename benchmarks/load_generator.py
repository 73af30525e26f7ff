"""Load generator: a separate process that sends requests and records the latency of each response.

It uses asyncio protocols on uvloop, because a client library would take as much time as the measured code.
`send` starts the process, `python -m benchmarks.load_generator`, which reads a job (JSON) from standard input
and writes the result (JSON) to standard output.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import uvloop

from benchmarks.client_connection import ClientConnection, RequestRecord
from benchmarks.errors import BenchmarkFailed
from benchmarks.timer import Timer, now
from stacks.project import ROOT

#: Time between the starts of two streams: tokens of different clients do not arrive at the same instant.
_STAGGER_SECONDS = 0.0013


@dataclass(frozen=True)
class LoadRequest:
    """A request, and a text that a correct response contains."""

    path: str
    body: dict[str, Any]
    expect: str = ""

    def to_bytes(self) -> bytes:
        """Return the request in HTTP/1.1."""
        body = json.dumps(self.body).encode()
        head = f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True)
class LoadJob:
    """The requests of one measurement, and their timing.

    closed: each of `clients` sends its next request when it has the response to the previous one;
    open: request n is sent at `due[n]`, even if earlier ones have no response yet;
    stream: like closed, and the delay of each event is recorded.
    """

    kind: Literal["closed", "open", "stream"]
    port: int
    requests: Sequence[LoadRequest]
    """Sent in this order, again from the first one on until `count` are sent."""
    count: int
    clients: int
    due: Sequence[int] = ()
    """Due time of each request of an open job, in nanoseconds after the first one."""
    keep_bodies: bool = False


@dataclass
class LoadResult:
    """The result of a job."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    """Seconds of each request; for an open job since the time at which it was due."""
    delays: list[float] = field(default_factory=list)
    """Seconds from the engine to this process, of each event of the streams."""
    bodies: dict[int, str] = field(default_factory=dict)
    errors: int = 0
    first_error: str | None = None

    @property
    def rps(self) -> float:
        """Correct responses per second."""
        return (len(self.latencies) - self.errors) / self.seconds


def send(job: LoadJob) -> LoadResult:
    """Run the job in a separate process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load_generator"],
        input=json.dumps(asdict(job)),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if done.returncode != 0:
        raise BenchmarkFailed(f"the load generator failed: {done.stderr[-500:]}")
    result = json.loads(done.stdout)
    result["bodies"] = {int(index): body for index, body in result["bodies"].items()}
    return LoadResult(**result)


class LoadGenerator:
    """Sends the requests of one job."""

    def __init__(self, job: LoadJob) -> None:
        """Encode the requests; `run` sends them."""
        self._job = job
        self._wire = [request.to_bytes() for request in job.requests]
        self._expect = [request.expect.encode() for request in job.requests]
        self._free: list[ClientConnection] = []
        # Due times of requests that wait for a free connection; their latency includes the wait.
        self._waiting: deque[int] = deque()
        self._sent = 0
        self._done = asyncio.Event()
        self._result = LoadResult(0.0)

    async def run(self) -> LoadResult:
        """Connect, then send all requests; the measured time starts with the first one."""
        loop = asyncio.get_running_loop()
        for _ in range(self._job.clients):
            _, connection = await loop.create_connection(
                lambda: ClientConnection(self._answered), "127.0.0.1", self._job.port
            )
            self._free.append(connection)
        began = now()
        if self._job.kind == "open":
            await self._send_when_due()
        else:
            for _ in range(min(self._job.clients, self._job.count)):
                self._send(now())
                if self._job.kind == "stream":
                    await asyncio.sleep(_STAGGER_SECONDS)
        await self._done.wait()
        self._result.seconds = (now() - began) / 1e9
        return self._result

    async def _send_when_due(self) -> None:
        began = now()
        with Timer() as timer:
            for offset in self._job.due:
                await timer.until(began + offset)
                if self._free:
                    self._send(began + offset)
                else:
                    self._waiting.append(began + offset)

    def _send(self, since: int) -> None:
        index = self._sent % len(self._wire)
        sent = RequestRecord(self._sent, since, self._job.kind == "stream")
        self._sent += 1
        self._free.pop().send(sent, self._wire[index])

    def _answered(self, connection: ClientConnection, sent: RequestRecord) -> None:
        result = self._result
        result.latencies.append((sent.ended - sent.since) / 1e9)
        result.delays += [delay / 1e9 for delay in sent.delays]
        if sent.status != 200 or self._expect[sent.number % len(self._expect)] not in sent.body:
            result.errors += 1
            result.first_error = result.first_error or f"{sent.status} {sent.body[:300]!r}"
        if self._job.keep_bodies:
            result.bodies[sent.number] = sent.body.decode()
        if sent.status:
            self._free.append(connection)
        all_lost = not self._free and self._sent == len(result.latencies)
        if len(result.latencies) == self._job.count or all_lost:
            self._done.set()
        elif self._waiting and self._free:
            self._send(self._waiting.popleft())
        elif self._job.kind != "open" and self._sent < self._job.count and self._free:
            self._send(now())


def main() -> None:
    """Run the job that is on standard input."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    content = json.load(sys.stdin)
    content["requests"] = [LoadRequest(**request) for request in content["requests"]]
    job = LoadJob(**content)
    # A garbage collection during the measurement would add to the latency.
    gc.freeze()
    gc.disable()
    json.dump(asdict(uvloop.run(LoadGenerator(job).run())), sys.stdout)


if __name__ == "__main__":
    main()
