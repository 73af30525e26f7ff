"""One SHA-256 over the parts of a file that threads read in any order."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TypeVar

_Result = TypeVar("_Result")


class OrderedDigest:
    """One SHA-256 over parts that arrive in any order, without keeping them: a part blocks until it is next.

    Parts are started in order, so the part that all others wait for is always being read.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        """`numbers` has the parts' numbers in their order."""
        self._waiting = list(numbers)
        self._digest = hashlib.sha256()
        self._changed = threading.Condition()
        self._failed = False

    def wait_for(self, number: int) -> bool:
        """Wait until all parts before this one are hashed; false if one of them has failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._failed or self._waiting[0] == number)
            return not self._failed

    def add(self, number: int, data: bytes | bytearray) -> None:
        """Hash a part after all before it; a part after a failed one is left out."""
        with self._changed:
            if self.wait_for(number):
                self._digest.update(data)
                self._waiting.pop(0)
                self._changed.notify_all()

    def fail(self) -> None:
        """Release every waiting part: one before it has failed."""
        with self._changed:
            self._failed = True
            self._changed.notify_all()

    def sha256(self) -> str:
        """Return the SHA-256 (hex) of the parts so far."""
        return self._digest.hexdigest()


def results_of(futures: dict[int, Future[_Result]], whole: OrderedDigest) -> dict[int, _Result]:
    """Return the results of all parts; raise the first error, after the parts that are running have ended."""
    finished, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
    failed = [future for future in finished if future.exception() is not None]
    if failed:
        whole.fail()
        for future in futures.values():
            future.cancel()
        wait(futures.values())
        failed[0].result()
    return {number: future.result() for number, future in futures.items()}
