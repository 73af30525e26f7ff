"""Runs a load job in processes that do nothing else, and merges their results.

The calling process shows the progress and refreshes the credentials, which would delay requests in a
generator's process. The processes are started anew (`spawn`), begin at the same instant of the machine's
clock, and collect no garbage during the run. Ctrl-C ends the run: `run` returns the results until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess

import uvloop
from botocore.credentials import ReadOnlyCredentials

from loraserve.errors import UserError
from loraserve.load.generator import Generator, Share
from loraserve.load.health import health_of
from loraserve.load.job import LoadJob, LoadRun
from loraserve.load.result_table import ResultTable
from loraserve.load.signing import KeyChain, RequestWriter, find_credentials
from loraserve.load.timer import now

#: Seconds from the message to begin to the run's second 0: the processes all have read it by then.
_LEAD_S = 0.1
#: Seconds between two messages with results: a message holds the interpreter's lock for about 5 µs a result,
#: which is less than the lag that a run may have.
_REPORT_S = 0.05
#: Seconds after which the calling process looks for refreshed keys and for Ctrl-C, without a message.
_POLL_S = 0.2
#: Most results in one message: its bytes are a second copy of them.
_CHUNK = 500
#: Seconds between two looks for refreshed keys.
_REFRESH_S = 30.0
#: Seconds for a process to end after its last message.
_EXIT_S = 10.0


class GeneratorFailed(UserError):
    """A process of the load generator ended without its results."""


@dataclass(frozen=True)
class _Begin:
    """Message to a process: the run's second 0."""

    began_ns: int


@dataclass(frozen=True)
class _Finished:
    """Last message from a process, after lists of its results."""

    cpu_share: float
    gc_off: bool
    unfinished: int


@dataclass
class _Part:
    """A process, and what it has sent."""

    process: BaseProcess
    pipe: Pipe
    finished: _Finished | None = None


def run(job: LoadJob, advance: Callable[[int], None], credentials: KeyChain | None = None) -> LoadRun:
    """Send the job's requests; `advance` gets the number of requests that ended since its last call.

    `credentials` sign the requests, if the target has a region; None: those of botocore's usual order.

    Raises:
        BotoCoreError: there are no credentials.
        GeneratorFailed: a process of the generator ended, killed or by a defect.
    """
    if job.target.region is not None and credentials is None:
        credentials = find_credentials()
    with _started(job, credentials, _process_count(job)) as parts:
        run = _Supervision(parts, advance, credentials)
        began_ns = run.begin()
        run.watch()
    results = run.results
    results.sort()
    ends = [part.finished for part in parts if part.finished is not None]
    health = health_of(
        results,
        open_loop=job.mode == "open",
        warm_up_s=job.warm_up_s,
        cpu_share=max((end.cpu_share for end in ends), default=0.0),
        gc_off=all(end.gc_off for end in ends),
    )
    return LoadRun(
        results=results,
        health=health,
        began_ns=began_ns,
        duration_s=max((result.ended_s for result in results), default=0.0),
        interrupted=run.interrupted,
        unfinished=sum(end.unfinished for end in ends),
    )


def _process_count(job: LoadJob) -> int:
    """Return `cores`, but at most one process for each request that may be in flight."""
    bound = job.clients if job.mode == "closed" else job.max_in_flight
    return job.cores if bound is None else max(1, min(job.cores, bound))


@contextlib.contextmanager
def _started(job: LoadJob, credentials: KeyChain | None, count: int) -> Iterator[list[_Part]]:
    """Start the processes; at the end of the block those that still run are killed."""
    context = multiprocessing.get_context("spawn")
    keys = None if credentials is None else credentials.get_frozen_credentials()
    parts = []
    # The first `start` would start it, and unblock SIGINT at its end.
    multiprocessing.resource_tracker.ensure_running()
    try:
        for number in range(count):
            pipe, other = context.Pipe()
            process = context.Process(target=_generate, args=(job, Share(number, count), keys, other))
            # A child inherits the mask: Ctrl-C of the terminal reaches this process alone.
            masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, masked)
            other.close()
            parts.append(_Part(process, pipe))
        yield parts
        for part in parts:
            part.process.join(_EXIT_S)
    finally:
        for part in parts:
            part.process.kill()
            part.process.join()
            part.pipe.close()


@contextlib.contextmanager
def _caught_interrupt() -> Iterator[threading.Event]:
    """Set an event at Ctrl-C, instead of an exception, which could end the reading of a message half-way.

    Python gives signals to the main thread alone: in another one there is no Ctrl-C to catch.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.signal(signal.SIGINT, lambda *_: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


class _Supervision:
    """The conversation with the processes."""

    def __init__(
        self, parts: list[_Part], advance: Callable[[int], None], credentials: KeyChain | None
    ) -> None:
        self.interrupted = False
        self.results = ResultTable()
        self._parts = parts
        self._advance = advance
        self._credentials = credentials
        self._keys = None if credentials is None else credentials.get_frozen_credentials()
        self._next_refresh = time.monotonic() + _REFRESH_S

    def begin(self) -> int:
        """Wait until every process is ready, and return the instant at which they begin."""
        for part in self._parts:
            self._receive(part)
        began_ns = now() + int(_LEAD_S * 1e9)
        self._send(_Begin(began_ns))
        return began_ns

    def watch(self) -> None:
        """Read messages until every process has finished. Ctrl-C ends the run; a further one does nothing."""
        deadline = math.inf
        with _caught_interrupt() as interrupt:
            while (running := self._running()) and time.monotonic() < deadline:
                ready = multiprocessing.connection.wait([part.pipe for part in running], _POLL_S)
                for part in running:
                    if part.pipe in ready:
                        self._receive(part)
                self._refresh()
                if interrupt.is_set() and not self.interrupted:
                    self.interrupted = True
                    self._send(None)
                    deadline = time.monotonic() + _EXIT_S

    def _running(self) -> list[_Part]:
        return [part for part in self._parts if part.finished is None]

    def _receive(self, part: _Part) -> None:
        try:
            message = part.pipe.recv()
        except (EOFError, OSError):
            part.process.join(_EXIT_S)
            raise GeneratorFailed(
                f"a process of the load generator ended with status {part.process.exitcode}, without its "
                "results; see its message above, and run again"
            ) from None
        if isinstance(message, _Finished):
            part.finished = message
        elif isinstance(message, list):
            for result in message:
                self.results.append(result)
            self._advance(len(message))

    def _refresh(self) -> None:
        """Send refreshed keys: those of a role expire after an hour, a run may be longer."""
        if self._credentials is None or time.monotonic() < self._next_refresh:
            return
        self._next_refresh = time.monotonic() + _REFRESH_S
        keys = self._credentials.get_frozen_credentials()
        if keys != self._keys:
            self._keys = keys
            self._send(keys)

    def _send(self, message: _Begin | ReadOnlyCredentials | None) -> None:
        for part in self._parts:
            with contextlib.suppress(BrokenPipeError):
                part.pipe.send(message)


def _generate(job: LoadJob, share: Share, keys: ReadOnlyCredentials | None, pipe: Pipe) -> None:
    """Run a share of the job: the main function of a process."""
    _allow_connections()
    writer = RequestWriter(job.target, keys)
    uvloop.run(_Worker(Generator(job, share, writer), writer, pipe).run())


class _Worker:
    """A generator and its pipe to the calling process."""

    def __init__(self, generator: Generator, writer: RequestWriter, pipe: Pipe) -> None:
        self._generator = generator
        self._writer = writer
        self._pipe = pipe
        self._is_running = True

    async def run(self) -> None:
        """Run the generator between the messages."""
        loop = asyncio.get_running_loop()
        self._begin: asyncio.Future[int] = loop.create_future()
        await self._generator.connect()
        loop.add_reader(self._pipe.fileno(), self._receive)
        # libuv makes what it watches non-blocking, and a message may be larger than the pipe's buffer.
        os.set_blocking(self._pipe.fileno(), True)
        gc.collect()
        gc.freeze()
        gc.disable()
        self._pipe.send("ready")
        began_ns = await self._begin
        reporting = asyncio.create_task(self._report())
        await self._generator.run(began_ns)
        self._is_running = False
        loop.remove_reader(self._pipe.fileno())
        finished = _Finished(self._generator.cpu_share, not gc.isenabled(), self._generator.in_flight)
        await reporting
        self._pipe.send(finished)

    def _receive(self) -> None:
        try:
            message = self._pipe.recv()
        except (EOFError, OSError):
            os._exit(1)  # the calling process was killed: there is no reader of the results
        match message:
            case _Begin(began_ns):
                self._begin.set_result(began_ns)
            case None:
                self._generator.stop()
            case _:
                self._writer.keys = message

    async def _report(self) -> None:
        """Send results while the run goes on, so that this process needs little memory for them.

        A thread sends, because the pipe may be full: the calling process has other work.
        """
        results = self._generator.results
        while self._is_running or results:
            if len(results) < _CHUNK:
                await asyncio.sleep(_REPORT_S)
            chunk = results[:_CHUNK]
            del results[:_CHUNK]
            if chunk:
                await asyncio.to_thread(self._pipe.send, chunk)


def _allow_connections() -> None:
    """Allow as many open connections as the system does; many systems begin with 1,024 files or fewer."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS refuses "unlimited"
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
