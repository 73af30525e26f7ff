"""Doing one thing for many adapters at once, for as long as there is time."""

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
    """Work that could not be done for some adapters, for reasons of their own."""

    def __init__(self, errors: Sequence[AdapterError]) -> None:
        """One error for each that is bad."""
        super().__init__(f"{len(errors)} adapter(s) are bad")
        self.errors = errors


class Workers:
    """Threads; a context manager."""

    def __init__(
        self,
        count: int,
        *,
        has_time: Callable[[], bool],
        tick: Callable[[], None],
        tick_seconds: float,
    ) -> None:
        """`tick` is called every `tick_seconds` while work is under way."""
        self._pool = ThreadPoolExecutor(count, "worker")
        self._has_time = has_time
        self._tick = tick
        self._tick_seconds = tick_seconds

    def __enter__(self) -> Workers:
        """Threads come with the first work."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for what is under way."""
        self._pool.shutdown(cancel_futures=True)

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """The results of the work for all items, in their order.

        All items are tried. Raises the first error that is nobody's fault, `OutOfTime` before others; or
        `BadAdapters` with all that are.
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
