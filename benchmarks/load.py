"""Sends load, in a process of its own, and notes when each answer came.

Raw protocols on uvloop: a client library would take as much time as what is measured. `send` runs the
process, `python -m benchmarks.load` is it: a job on standard input, what came of it on standard output.
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

from benchmarks.connection import Connection, Sent
from benchmarks.failure import BenchmarkFailed
from benchmarks.timer import Timer, now
from stacks.project import ROOT

#: Streams begin this far apart: tokens of different callers do not come at the same instant.
_STAGGER_SECONDS = 0.0013


@dataclass(frozen=True)
class Request:
    """One request, and a text without which its answer is wrong."""

    path: str
    body: dict[str, Any]
    expect: str = ""

    def to_bytes(self) -> bytes:
        """As it goes over the wire."""
        body = json.dumps(self.body).encode()
        head = f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True)
class Job:
    """What to send, and how.

    closed: each of `clients` sends its next request when it has its answer; open: request n is sent at
    `due[n]`, answered or not the ones before; stream: as closed, with the delays of the events noted.
    """

    kind: Literal["closed", "open", "stream"]
    port: int
    requests: Sequence[Request]
    """Sent from first to last, and again from the first until `count` are sent."""
    count: int
    clients: int
    due: Sequence[int] = ()
    """Nanoseconds from the first."""
    keep_bodies: bool = False


@dataclass
class Result:
    """What came of a job."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    """Seconds of each request: of an open job from the time it was due."""
    delays: list[float] = field(default_factory=list)
    """Seconds from the engine to here, of each event of the streams."""
    bodies: dict[int, str] = field(default_factory=dict)
    errors: int = 0
    first_error: str | None = None

    @property
    def rps(self) -> float:
        """Good answers per second."""
        return (len(self.latencies) - self.errors) / self.seconds


def send(job: Job) -> Result:
    """Run the job in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
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
    return Result(**result)


class Sender:
    """Does one job."""

    def __init__(self, job: Job) -> None:
        """Nothing is sent before `run`."""
        self._job = job
        self._wire = [request.to_bytes() for request in job.requests]
        self._expect = [request.expect.encode() for request in job.requests]
        self._free: list[Connection] = []
        # Requests that are due and have no connection; their time runs.
        self._waiting: deque[int] = deque()
        self._sent = 0
        self._done = asyncio.Event()
        self._result = Result(0.0)

    async def run(self) -> Result:
        """Connect, then send all; the clock starts with the first request."""
        loop = asyncio.get_running_loop()
        for _ in range(self._job.clients):
            _, connection = await loop.create_connection(
                lambda: Connection(self._answered), "127.0.0.1", self._job.port
            )
            self._free.append(connection)
        began = now()
        if self._job.kind == "open":
            await self._by_the_clock()
        else:
            for _ in range(min(self._job.clients, self._job.count)):
                self._send(now())
                if self._job.kind == "stream":
                    await asyncio.sleep(_STAGGER_SECONDS)
        await self._done.wait()
        self._result.seconds = (now() - began) / 1e9
        return self._result

    async def _by_the_clock(self) -> None:
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
        sent = Sent(self._sent, since, self._job.kind == "stream")
        self._sent += 1
        self._free.pop().send(sent, self._wire[index])

    def _answered(self, connection: Connection, sent: Sent) -> None:
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
    """Do the job on standard input."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    content = json.load(sys.stdin)
    content["requests"] = [Request(**request) for request in content["requests"]]
    job = Job(**content)
    # A collection in the middle would show as latency.
    gc.freeze()
    gc.disable()
    json.dump(asdict(uvloop.run(Sender(job).run())), sys.stdout)


if __name__ == "__main__":
    main()
