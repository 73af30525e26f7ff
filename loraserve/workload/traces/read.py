"""Read a trace; its format is recognized by its content."""

from __future__ import annotations

from pathlib import Path

from loraserve.workload.errors import WorkloadError
from loraserve.workload.traces.azure import AZURE
from loraserve.workload.traces.burstgpt import BURSTGPT
from loraserve.workload.traces.captured import CAPTURED
from loraserve.workload.traces.load_test import LOAD_TEST
from loraserve.workload.traces.mooncake import BAILIAN, MOONCAKE
from loraserve.workload.traces.servegen import SERVEGEN
from loraserve.workload.traces.trace_format import TraceFormat, lines
from loraserve.workload.workload import Workload

#: The formats, by the name that `--format` takes.
FORMATS = {known.name: known for known in (AZURE, BURSTGPT, SERVEGEN, LOAD_TEST, MOONCAKE, BAILIAN, CAPTURED)}
#: Files of a folder that are read: ServeGen's clients, and data capture's files in folders of hours.
_IN_FOLDER = ("*-trace.csv", "*.jsonl")


def read_trace(path: Path, name: str | None = None) -> Workload:
    """Read a trace from a file, or from the files of a folder.

    Args:
        path: file or folder.
        name: format, a key of `FORMATS`; None recognizes it by the first line.

    Raises:
        WorkloadError: no such file, an unknown format, no request, or a damaged line, which is named by file
            and number.
    """
    paths = _paths(path)
    first = next((line.text for line in lines(paths[0])), "")
    trace = _format(path, first, name).read(paths)
    if not len(trace):
        raise WorkloadError(f"{path}: no request; give a trace with at least one")
    return trace


def _paths(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.exists():
        raise WorkloadError(f"{path}: no such file; give the path of a trace")
    paths = sorted(found for pattern in _IN_FOLDER for found in path.rglob(pattern) if found.is_file())
    if not paths:
        raise WorkloadError(f"{path}: no trace in this folder; give one with {' or '.join(_IN_FOLDER)}")
    return paths


def _format(path: Path, first: str, name: str | None) -> TraceFormat:
    if name is not None:
        if name not in FORMATS:
            raise WorkloadError(f"format {name!r}: use {', '.join(FORMATS)}")
        return FORMATS[name]
    for known in FORMATS.values():
        if known.recognizes(first):
            return known
    raise WorkloadError(f"{path}: no known format of traces; give a file of {', '.join(FORMATS)}")
