"""A thread pool with a deadline, which tries every item and collects the errors of bad adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import TypeVar

from adapters.errors import AdapterError
from adapters.store.transfer import OutOfTime

T = TypeVar("T")
R = TypeVar("R")


class BadAdapters(Exception):
    """The errors of all adapters that are bad, after the work was tried for every adapter."""

    def __init__(self, errors: Sequence[AdapterError]) -> None:
        """`errors` has one error for each bad adapter."""
        super().__init__(f"{len(errors)} adapter(s) are bad")
        self.errors = errors


class ThreadPool:
    """Worker threads; a context manager."""

    def __init__(
        self,
        count: int,
        *,
        has_time: Callable[[], bool],
        tick: Callable[[], None],
        tick_seconds: float,
    ) -> None:
        """Start at most `count` threads.

        `has_time` is asked before each item; once it is false, `OutOfTime` is raised. `tick` is called every
        `tick_seconds` while items are being worked on.
        """
        self._pool = ThreadPoolExecutor(count, "worker")
        self._has_time = has_time
        self._tick = tick
        self._tick_seconds = tick_seconds

    def __enter__(self) -> ThreadPool:
        """Return itself: threads start with the first item."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Cancel the items that have not started, and wait for those that have."""
        self._pool.shutdown(cancel_futures=True)

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return the results of the work for all items, in their order.

        All items are tried. Raises the first error that is not an `AdapterError`, and `OutOfTime` before any
        other; `BadAdapters` with every `AdapterError` if there is no other error.
        """

        def one(item: T) -> R:
            if not self._has_time():
                raise OutOfTime
            return work(item)

        futures = [self._pool.submit(one, item) for item in items]
        pending: set[Future[R]] = set(futures)
        while pending:
            _, pending = wait(pending, self._tick_seconds)
            if pending:
                self._tick()
        errors = [error for future in futures if (error := future.exception()) is not None]
        bad = [error for error in errors if isinstance(error, AdapterError)]
        others = [error for error in errors if not isinstance(error, AdapterError)]
        if others:
            raise next((error for error in others if isinstance(error, OutOfTime)), others[0])
        if bad:
            raise BadAdapters(bad)
        return [future.result() for future in futures]
