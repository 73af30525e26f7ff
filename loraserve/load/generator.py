"""The load generator of one process: sends its share of a job's requests, on time or one after the other.

A request is written and signed before it is due, and no request is ever sent twice. An open run never waits
for an answer: if no connection is free, a new one is opened, whose time counts as service time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from loraserve.load.answer import Answer
from loraserve.load.connection import ConnectionPool, HttpConnection
from loraserve.load.job import LoadJob
from loraserve.load.result import LoadOutcome, RequestResult
from loraserve.load.signing import RequestWriter
from loraserve.load.timer import DueTimer, now, timer

#: Seconds before it is due that a request is signed; a signature is valid for five minutes.
_WRITE_AHEAD_S = 30.0
#: Connections that are open when an open run begins.
_OPEN_AT_START = 16
#: Seconds between two looks for requests whose time is up.
_EXPIRY_S = 0.1
#: Least elapsed time of the share of processor time, in seconds.
_LEAST_S = 1.0


@dataclass(frozen=True)
class Share:
    """The part of a job that one of `count` processes sends: the requests `number`, `number + count`, …"""

    number: int
    count: int

    def indices(self, total: int) -> range:
        """Return the indices of this part's requests."""
        return range(self.number, total, self.count)

    def of(self, total: int) -> int:
        """Return this part of a number, such that all parts add up to it."""
        return len(self.indices(total))


@dataclass(slots=True)
class _Flight:
    """A request that is sent and has not ended."""

    answer: Answer
    connection: HttpConnection | None
    """None while it is being opened."""


class Generator:
    """Sends the requests of a share; `run` once, with an event loop that runs nothing else."""

    def __init__(self, job: LoadJob, share: Share, writer: RequestWriter) -> None:
        """`writer` writes the requests; its keys may change during the run."""
        self.results: list[RequestResult] = []
        self.cpu_share = 0.0
        """Processor time ÷ elapsed time while requests were sent: an open run's last answers are left out."""
        self._job = job
        self._share = share
        self._writer = writer
        self._began_ns = 0
        self._pool = ConnectionPool(job.target.url, self._clock)
        # In the order in which they were sent, which is that of their time-outs.
        self._in_flight: dict[int, _Flight] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self._limit = None if job.max_in_flight is None else share.of(job.max_in_flight)
        self._left: Iterator[int] = iter(share.indices(len(job.workload)))
        self._is_issuing = True
        self._drained = asyncio.Event()
        self._stopped = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """Number of requests that are sent and have not ended."""
        return len(self._in_flight)

    async def connect(self) -> None:
        """Open the first connections. A server that cannot be reached is left to the requests to report."""
        count = self._share.of(self._job.clients) if self._job.mode == "closed" else _OPEN_AT_START
        if self._limit is not None:
            count = min(count, self._limit)
        with contextlib.suppress(OSError):
            for _ in range(count):
                self._pool.release(await self._pool.open())

    async def run(self, began_ns: int) -> None:
        """Send from the instant `began_ns` of `timer.now` on, until the last answer or `stop`."""
        self._began_ns = began_ns
        tasks = [
            asyncio.create_task(part) for part in (self._send_all(), self._stopped.wait(), self._expire())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*tasks, *self._connecting):
                task.cancel()
            for flight in self._in_flight.values():
                if flight.connection is not None:
                    flight.connection.abort()
            self._pool.close()

    def stop(self) -> None:
        """End the run now; requests in flight have no result."""
        self._stopped.set()

    def _clock(self) -> float:
        return (now() - self._began_ns) / 1e9

    async def _send_all(self) -> None:
        with timer() as alarm:
            await alarm.until(self._began_ns)
            busy_s = time.process_time()
            try:
                if self._job.mode == "open":
                    await self._send_when_due(alarm)
                else:
                    await self._send_in_turn()
            finally:
                # A run of milliseconds is its start alone, which computes all the time.
                self.cpu_share = (time.process_time() - busy_s) / max(self._clock(), _LEAST_S)
        await self._drain()

    async def _send_in_turn(self) -> None:
        for _ in range(self._share.of(self._job.clients)):
            self._send_next()
        await self._drain()

    async def _drain(self) -> None:
        self._is_issuing = False
        if self._in_flight:
            await self._drained.wait()

    async def _send_when_due(self, alarm: DueTimer) -> None:
        for index in self._left:
            due_s = float(self._job.workload.due_s[index])
            if self._is_over(due_s):
                return
            due_ns = self._began_ns + int(due_s * 1e9)
            await alarm.until(due_ns - int(_WRITE_AHEAD_S * 1e9))
            wire = self._writer.write(self._job.body(index), self._job.workload.name_of(index))
            await alarm.until(due_ns)
            if self._limit is not None and len(self._in_flight) >= self._limit:
                self._withhold(index, due_s)
            else:
                self._send(index, due_s, wire)

    def _send_next(self) -> None:
        """Send the next request of a closed run, which is due when it is sent."""
        index = None if self._is_over(self._clock()) else next(self._left, None)
        if index is not None:
            wire = self._writer.write(self._job.body(index), self._job.workload.name_of(index))
            self._send(index, self._clock(), wire)

    def _is_over(self, instant_s: float) -> bool:
        return self._job.duration_s is not None and instant_s >= self._job.duration_s

    def _send(self, index: int, due_s: float, wire: bytes) -> None:
        sent_s = due_s if self._job.mode == "closed" else self._clock()
        result = RequestResult(index, due_s, sent_s)
        answer = Answer(result, self._end, keep_text=self._job.keep_text)
        flight = self._in_flight[index] = _Flight(answer, self._pool.idle())
        if flight.connection is not None:
            flight.connection.send(wire, answer)
        else:
            task = asyncio.create_task(self._send_on_new_connection(wire, flight))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _send_on_new_connection(self, wire: bytes, flight: _Flight) -> None:
        try:
            connection = await self._pool.open()
        except OSError as error:
            message = f"no connection to {self._job.target.url}: {error}"
            flight.answer.fail(LoadOutcome.CONNECTION, message, self._clock())
            return
        if flight.answer.is_ended:
            self._pool.release(connection)
        else:
            flight.connection = connection
            connection.send(wire, flight.answer)

    def _withhold(self, index: int, due_s: float) -> None:
        withheld = RequestResult(index, due_s, due_s, ended_s=due_s, outcome=LoadOutcome.WITHHELD)
        self.results.append(withheld)

    def _end(self, result: RequestResult) -> None:
        del self._in_flight[result.index]
        self.results.append(result)
        if self._job.mode == "closed":
            self._send_next()
        if not self._in_flight and not self._is_issuing:
            self._drained.set()

    async def _expire(self) -> None:
        """End requests whose time is up, until cancelled."""
        message = f"no whole answer in {self._job.timeout_s:g} s"
        while True:
            await asyncio.sleep(_EXPIRY_S)
            now_s = self._clock()
            while self._in_flight:
                oldest = next(iter(self._in_flight.values()))
                if oldest.answer.result.sent_s + self._job.timeout_s > now_s:
                    break
                # As a client's time-out does: the endpoint may stop its work.
                if oldest.connection is not None:
                    oldest.connection.abort()
                oldest.answer.fail(LoadOutcome.TIMEOUT, message, now_s)
