"""A format of traces, the lines of its files, and the requests that are read from them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from loraserve.workload.errors import WorkloadError
from loraserve.workload.workload import BASE, Workload


@dataclass(frozen=True)
class TraceFormat:
    """A format, recognized by the first line of a file."""

    name: str
    recognizes: Callable[[str], bool]
    read: Callable[[Sequence[Path]], Workload]


@dataclass(frozen=True)
class TraceLine:
    """A line of a trace; `str()` is its place, for errors."""

    path: Path
    number: int
    text: str

    def __str__(self) -> str:
        """Return file and line number."""
        return f"{self.path}:{self.number}"

    def damaged(self, reason: str) -> WorkloadError:
        """Return the error for a line that cannot be read."""
        return WorkloadError(f"{self}: {reason}; correct or remove the line")


def lines(path: Path) -> Iterator[TraceLine]:
    """Return the lines of a file that have text.

    Raises:
        WorkloadError: the file cannot be read or is no UTF-8.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield TraceLine(path, number, text.rstrip("\r\n"))
    except UnicodeError:
        raise WorkloadError(f"{path}:{number + 1}: no UTF-8 text; give an unpacked file") from None
    except OSError as error:
        raise WorkloadError(f"{path}: {error.strerror}; give a file that can be read") from None


@dataclass
class TraceRequests:
    """Requests in the order in which they are read."""

    time_s: array[float] = field(default_factory=lambda: array("d"))
    adapter: array[int] = field(default_factory=lambda: array("i"))
    input_tokens: array[int] = field(default_factory=lambda: array("i"))
    output_tokens: array[int] = field(default_factory=lambda: array("i"))
    _index: dict[str, int] = field(default_factory=dict)

    def add(self, time_s: float, input_tokens: int, output_tokens: int, adapter: str | None = None) -> None:
        """Append a request; without an adapter it is one of the base model."""
        self.time_s.append(time_s)
        self.input_tokens.append(input_tokens)
        self.output_tokens.append(output_tokens)
        self.adapter.append(BASE if adapter is None else self._index.setdefault(adapter, len(self._index)))

    def workload(self, *, start_s: float | None = None) -> Workload:
        """Return the requests in the order of their arrival; the first one is due at 0.

        Args:
            start_s: time that becomes 0 instead of the first request's.
        """
        time_s = np.array(self.time_s)
        order = np.argsort(time_s, kind="stable")
        due_s = time_s[order]
        if len(due_s):
            due_s = due_s - (due_s[0] if start_s is None else start_s)
        return Workload(
            due_s=due_s,
            adapter=np.array(self.adapter, dtype=np.int32)[order],
            input_tokens=np.array(self.input_tokens, dtype=np.int32)[order],
            output_tokens=np.array(self.output_tokens, dtype=np.int32)[order],
            adapters=tuple(self._index),
        )


def tokens(text: str, line: TraceLine) -> int:
    """Return a number of tokens in a trace, at least 0.

    Raises:
        WorkloadError: for any other text.
    """
    if not text.isascii() or not text.isdigit() or int(text) >= 2**31:
        raise line.damaged(f"{text!r} is no number of tokens")
    return int(text)
