"""Mooncake and Bailian: JSON lines with `timestamp`, `input_length` and `output_length`.

Mooncake (kvcache-ai/Mooncake, FAST25-release/traces) has milliseconds, Bailian
(alibaba-edu/qwen-bailian-usagetraces-anon) has seconds, and a `chat_id`. `hash_ids` and conversations are
ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from loraserve.workload.traces.json_lines import json_object, keys_of, number_of, tokens_of
from loraserve.workload.traces.trace_format import TraceFormat, TraceRequests, lines
from loraserve.workload.workload import Workload

_KEYS = frozenset({"timestamp", "input_length", "output_length"})


def _is_mooncake(first: str) -> bool:
    keys = keys_of(first)
    return keys >= _KEYS and "chat_id" not in keys


def _is_bailian(first: str) -> bool:
    return keys_of(first) >= _KEYS | {"chat_id"}


def _read(paths: Sequence[Path], unit_s: float) -> Workload:
    requests = TraceRequests()
    for path in paths:
        for line in lines(path):
            row = json_object(line)
            time_s = number_of(row, "timestamp", line) * unit_s
            requests.add(time_s, tokens_of(row, "input_length", line), tokens_of(row, "output_length", line))
    return requests.workload(start_s=0)


MOONCAKE = TraceFormat("mooncake", _is_mooncake, lambda paths: _read(paths, 0.001))
BAILIAN = TraceFormat("bailian", _is_bailian, lambda paths: _read(paths, 1))
