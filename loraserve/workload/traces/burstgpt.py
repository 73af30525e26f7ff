"""BurstGPT: `Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type`.

HPMLL/BurstGPT; newer releases have `Session ID` and `Elapsed time`, too, so columns are found by name. Time
stamps are seconds since the first day. Requests without response tokens failed there and are left out.
`Model` (ChatGPT, GPT-4) takes the place of an adapter.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from loraserve.workload.traces.trace_format import TraceFormat, TraceLine, TraceRequests, lines, tokens
from loraserve.workload.workload import Workload

_COLUMNS = ("Timestamp", "Model", "Request tokens", "Response tokens")


def _recognizes(first: str) -> bool:
    return set(_COLUMNS) <= set(first.split(","))


def _read(paths: Sequence[Path]) -> Workload:
    requests = TraceRequests()
    for path in paths:
        columns: list[str] | None = None
        for line in lines(path):
            values = _values(line)
            if columns is None:
                if not _recognizes(line.text):
                    raise line.damaged(f"not the columns {', '.join(_COLUMNS)}")
                columns = values
                continue
            if len(values) != len(columns):
                raise line.damaged(f"{len(values)} values, not {len(columns)}")
            row = dict(zip(columns, values, strict=True))
            time_s = _seconds(row["Timestamp"], line)
            answered = tokens(row["Response tokens"], line)
            if answered:
                requests.add(time_s, tokens(row["Request tokens"], line), answered, row["Model"] or None)
    return requests.workload()


def _values(line: TraceLine) -> list[str]:
    try:
        return next(csv.reader([line.text]))
    except csv.Error as error:
        raise line.damaged(str(error)) from None


def _seconds(text: str, line: TraceLine) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise line.damaged(f"{text!r} is no time in seconds")
    return seconds


BURSTGPT = TraceFormat("burstgpt", _recognizes, _read)
