"""Polling with a deadline."""

import time
from collections.abc import Callable
from typing import Any


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 30) -> None:
    """Return when the condition holds; fail with `what` if it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not the case after {seconds} s: {what}"
        time.sleep(0.02)
