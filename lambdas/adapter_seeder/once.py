"""Work that is done when it is first needed, and then only once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from adapters.errors import AdapterError

R = TypeVar("R")


class Once(Generic[R]):
    """Calls `work` for whichever thread comes first; all get its result, or its `AdapterError`."""

    def __init__(self, work: Callable[[], R]) -> None:
        """Nothing is done yet. Any other error of `work` is not kept: the next caller tries again."""
        self._work = work
        self._done: Future[R] = Future()
        self._lock = threading.Lock()

    def __call__(self) -> R:
        """The result; waits for it where another thread is at it."""
        with self._lock:
            if not self._done.done():
                try:
                    self._done.set_result(self._work())
                except AdapterError as error:
                    self._done.set_exception(error)
        return self._done.result()
