"""ServeGen's clients: a file `chunk-<client>-trace.csv` each, with a line per window of 600 s.

alibaba/ServeGen, data/language/m-large and others: `ts,rate,cv,pattern,first,second`, without a header; the
pattern is empty in windows without requests. The last two are shape and scale of a gamma or a Weibull
distribution of the gaps. As in ServeGen's own generator, a window has rate · 600 requests, whose gaps are
drawn and then stretched to the window. The lengths come from `chunk-<client>-dataset.json` beside the file,
if it is there. A client takes the place of an adapter.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loraserve.workload.errors import WorkloadError
from loraserve.workload.traces.trace_format import TraceFormat, TraceLine, TraceRequests, lines
from loraserve.workload.workload import Workload

WINDOW_S = 600
#: Bound of a client's requests per second; the highest of ServeGen's m-large is 465.
_HIGHEST_RATE = 10_000
#: Seed of the draws: a trace is a fixed sequence of requests.
_SEED = 0
_LINE = re.compile(r"(\d{1,10}),([\d.eE+-]+),([\d.eE+-]+|nan),(Gamma|Weibull|),([\d.eE+-]+),([\d.eE+-]+)")
#: An item of a distribution of lengths, `{tokens: probability, …}`, which is a text in the JSON document.
_LENGTH = re.compile(r"\b(\d{1,9}): ([\d.eE+-]+)")
_Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]


@dataclass(frozen=True)
class _LengthTable:
    """Distributions of a client's lengths, each from a time on."""

    starts_s: list[int]
    inputs: list[_Draw]
    outputs: list[_Draw]


def _read(paths: Sequence[Path]) -> Workload:
    requests = TraceRequests()
    for path in paths:
        # A stream per client: the requests of one do not depend on the others that are read.
        random = np.random.default_rng([_SEED, _client_number(path)])
        client = path.name.removesuffix("-trace.csv")
        table = _length_table(path.with_name(f"{client}-dataset.json"))
        for line in lines(path):
            _add_window(requests, line, client, table, random)
    return requests.workload(start_s=0)


def _client_number(path: Path) -> int:
    found = re.search(r"\d+", path.name)
    return int(found[0]) if found else 0


def _add_window(
    requests: TraceRequests,
    line: TraceLine,
    client: str,
    table: _LengthTable | None,
    random: np.random.Generator,
) -> None:
    found = _LINE.fullmatch(line.text)
    if found is None:
        raise line.damaged("not `ts,rate,cv,Gamma or Weibull,shape,scale`")
    start_s, pattern = int(found[1]), found[4]
    try:
        rate, shape = float(found[2]), float(found[5])
    except ValueError:
        raise line.damaged("a number is damaged") from None
    if not 0 <= rate <= _HIGHEST_RATE:
        raise line.damaged(f"a rate that is not from 0 to {_HIGHEST_RATE:,}/s")
    count = round(rate * WINDOW_S)
    if count == 0:
        return
    if not pattern or not 0 < shape < math.inf:
        raise line.damaged("a rate without a distribution of the gaps")
    gaps = (
        random.gamma(shape, size=count + 1) if pattern == "Gamma" else random.weibull(shape, size=count + 1)
    )
    with np.errstate(over="ignore"):
        total = np.sum(gaps)
    if not 0 < total < np.inf:
        raise line.damaged(f"gaps cannot be drawn with the shape {shape:g}")
    times = start_s + np.cumsum(gaps)[:-1] * (WINDOW_S / total)
    inputs = outputs = np.zeros(count)
    if table is not None and (row := bisect_right(table.starts_s, start_s) - 1) >= 0:
        inputs, outputs = table.inputs[row](random, count), table.outputs[row](random, count)
    for time_s, of_input, of_output in zip(times.tolist(), inputs, outputs, strict=True):
        requests.add(time_s, int(of_input), int(of_output), client)


def _length_table(path: Path) -> _LengthTable | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
        starts_s = sorted(int(start) for start in content)
        rows = [content[str(start)] for start in starts_s]
        inputs = [_distribution(row["input_tokens"]) for row in rows]
        return _LengthTable(starts_s, inputs, [_distribution(row["output_tokens"]) for row in rows])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise WorkloadError(f"{path}: not ServeGen's distributions of lengths; download it again") from None


def _distribution(text: str) -> _Draw:
    items = _LENGTH.findall(text)
    if not items:
        return lambda random, count: np.zeros(count)
    lengths = np.array([int(length) for length, _ in items])
    edges = np.cumsum([float(probability) for _, probability in items])
    if not 0 < edges[-1] < np.inf:
        raise ValueError("no distribution")
    edges /= edges[-1]
    return lambda random, count: lengths[np.searchsorted(edges, random.random(count), side="right")]


SERVEGEN = TraceFormat("servegen", lambda first: _LINE.fullmatch(first) is not None, _read)
