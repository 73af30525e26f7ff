"""The results of a run in columns: less than a quarter of the memory of as many `RequestResult`s."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from loraserve.load.result import LoadOutcome, RequestResult

_OUTCOMES = tuple(LoadOutcome)
_CODES = {outcome: code for code, outcome in enumerate(_OUTCOMES)}
#: Number of input tokens that an answer does not say.
_UNKNOWN = -1
#: Token gaps in one array: one for each result needs a third more, a single one is moved as it grows.
_GAPS = 1 << 16


class ResultTable(Sequence[RequestResult]):
    """Results in the order in which they are appended; each access makes a new `RequestResult`.

    A loop that keeps what it reads needs the memory that the table saves: keep numbers of it.
    """

    def __init__(self) -> None:
        """Begin without results."""
        # The columns are in the order of `append`.
        self._order = array("q")
        self._index = array("i")
        self._due_s, self._sent_s, self._first_token_s, self._ended_s = (array("d") for _ in range(4))
        self._input_tokens, self._output_tokens = array("i"), array("i")
        self._from_usage, self._outcome = array("b"), array("b")
        # The gaps of all results one after the other, in arrays of `_GAPS`; of each result which array, from
        # where, and how many.
        self._gaps_s = [_zeros(_GAPS)]
        self._free = 0
        self._gaps_in, self._gaps_from, self._gaps_count = array("i"), array("i"), array("i")
        # Many answers name the same adapter, few have a message, and texts are kept if one is expected.
        self._answered_by = array("i")
        self._names: list[str | None] = [None]
        self._name_codes: dict[str | None, int] = {None: 0}
        self._messages: dict[int, str] = {}
        self._texts: dict[int, str] = {}

    def append(self, result: RequestResult) -> None:
        """Add a result."""
        position = len(self)
        first = math.nan if result.first_token_s is None else result.first_token_s
        code = self._name_codes.setdefault(result.answered_by, len(self._names))
        if code == len(self._names):
            self._names.append(result.answered_by)
        if result.message is not None:
            self._messages[position] = result.message
        if result.text is not None:
            self._texts[position] = result.text
        self._due_s.append(result.due_s)
        self._sent_s.append(result.sent_s)
        self._first_token_s.append(first)
        self._ended_s.append(result.ended_s)
        self._input_tokens.append(_UNKNOWN if result.input_tokens is None else result.input_tokens)
        self._output_tokens.append(result.output_tokens)
        self._from_usage.append(result.tokens_from_usage)
        self._outcome.append(_CODES[result.outcome])
        self._append_gaps(result.token_gaps_s)
        self._answered_by.append(code)
        self._index.append(result.index)
        self._order.append(position)

    def _append_gaps(self, gaps_s: array[float]) -> None:
        count = len(gaps_s)
        if self._free + count > len(self._gaps_s[-1]):
            self._gaps_s.append(_zeros(max(count, _GAPS)))
            self._free = 0
        self._gaps_s[-1][self._free : self._free + count] = gaps_s
        self._gaps_in.append(len(self._gaps_s) - 1)
        self._gaps_from.append(self._free)
        self._gaps_count.append(count)
        self._free += count

    def sort(self) -> None:
        """Put the results into the order of their index."""
        self._order = array("q", np.argsort(np.array(self._index), kind="stable").tobytes())

    def __len__(self) -> int:
        """Return the number of results."""
        return len(self._order)

    @overload
    def __getitem__(self, place: int) -> RequestResult: ...
    @overload
    def __getitem__(self, place: slice) -> list[RequestResult]: ...
    def __getitem__(self, place: int | slice) -> RequestResult | list[RequestResult]:
        """Return a result, or a list of some."""
        if isinstance(place, slice):
            return [self._at(position) for position in self._order[place]]
        return self._at(self._order[place])

    def __iter__(self) -> Iterator[RequestResult]:
        """Yield each result."""
        return map(self._at, self._order)

    def _at(self, position: int) -> RequestResult:
        first = self._first_token_s[position]
        input_tokens = self._input_tokens[position]
        start = self._gaps_from[position]
        gaps_s = self._gaps_s[self._gaps_in[position]][start : start + self._gaps_count[position]]
        return RequestResult(
            index=self._index[position],
            due_s=self._due_s[position],
            sent_s=self._sent_s[position],
            first_token_s=None if math.isnan(first) else first,
            ended_s=self._ended_s[position],
            token_gaps_s=gaps_s,
            input_tokens=None if input_tokens == _UNKNOWN else input_tokens,
            output_tokens=self._output_tokens[position],
            tokens_from_usage=bool(self._from_usage[position]),
            outcome=_OUTCOMES[self._outcome[position]],
            message=self._messages.get(position),
            answered_by=self._names[self._answered_by[position]],
            text=self._texts.get(position),
        )


def _zeros(count: int) -> array[float]:
    return array("f", bytes(4 * count))
