"""The JSON document of a load test, `loraserve load-test --json FILE`: its requests as a workload."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from loraserve.workload.errors import WorkloadError
from loraserve.workload.traces.trace_format import TraceFormat
from loraserve.workload.workload import Workload

_FORMAT = "loraserve-load-test"
_START = re.compile(rf'\s*\{{\s*("format"\s*:\s*"{_FORMAT}"|$)')


def _read(paths: Sequence[Path]) -> Workload:
    if len(paths) != 1:
        raise WorkloadError(f"{len(paths)} load tests; give one file")
    path = paths[0]
    try:
        document = json.loads(path.read_bytes())
        if document["format"] != _FORMAT:
            raise WorkloadError(f"{path}: {document['format']!r}; give the document of one load test")
        columns = document["requests"]
        due_s = np.array(columns["due_s"], dtype=np.float64)
        order = np.argsort(due_s, kind="stable")
        adapters = tuple(str(name) for name in document["adapters"])
        adapter, inputs, outputs = (
            np.array(columns[name], dtype=np.int32) for name in ("adapter", "input_tokens", "output_tokens")
        )
        if len({len(due_s), len(adapter), len(inputs), len(outputs)}) > 1:
            raise ValueError("columns of different length")
        if not np.all(np.isfinite(due_s)) or np.any(due_s < 0):
            raise ValueError("a time that is no number of seconds")
        if len(adapter) and not -1 <= adapter.min() <= adapter.max() < len(adapters):
            raise ValueError("an adapter without name")
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise WorkloadError(f"{path}: not the document of a load test ({error}); run it again") from None
    return Workload(
        due_s=due_s[order],
        adapter=adapter[order],
        # -1: the answer did not contain it.
        input_tokens=np.maximum(inputs[order], 0),
        output_tokens=np.maximum(outputs[order], 0),
        adapters=adapters,
    )


LOAD_TEST = TraceFormat("load-test", lambda first: _START.match(first) is not None, _read)
