"""The JSON document of a load test: its figures, and each request.

`loraserve.workload` reads its requests as a trace, `loraserve plan --calibrate` and the simulator its times.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from loraserve.errors import UserError
from loraserve.load.job import LoadRun
from loraserve.load.result import LoadOutcome, RequestResult
from loraserve.load.slo import LatencySlo
from loraserve.load.summary import LoadSummary
from loraserve.workload.workload import Workload

RUN_FORMAT: Final = "loraserve-load-test"
SWEEP_FORMAT: Final = "loraserve-load-sweep"
VERSION: Final = 1
#: Value of a number of input tokens that no answer has.
UNKNOWN: Final = -1
_COLUMNS: Final = (
    "due_s", "sent_s", "first_token_s", "ended_s", "adapter", "input_tokens", "output_tokens", "outcome",
    "in_flight",
)  # fmt: skip


class LoadDocumentError(UserError):
    """A file that is no document of a load test."""

    exit_code = 2


def run_document(
    endpoint: str,
    run: LoadRun,
    workload: Workload,
    summary: LoadSummary,
    *,
    options: Mapping[str, Any],
    slo: LatencySlo,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the document of a run; times in seconds, all figures measured.

    Args:
        endpoint: the endpoint's name or URL.
        run: the raw results, of which those of an interrupted run are the requests that ended.
        workload: the requests.
        summary: the run's figures.
        options: the command's options that differ from none.
        slo: the bounds that goodput was judged by.
        warnings: sentences about the answers.
    """
    return {
        "format": RUN_FORMAT,
        "version": VERSION,
        "figures": "measured",
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "endpoint": endpoint,
        "complete": not run.interrupted,
        "unfinished": run.unfinished,
        "valid": run.health.valid,
        "invalid_because": list(run.health.invalid_because),
        "warnings": list(warnings),
        "options": dict(options),
        "slo": asdict(slo),
        "summary": asdict(summary) | {"wrong": summary.wrong, "errors": summary.errors},
        "health": asdict(run.health),
        "adapters": list(workload.adapters),
        "requests": _columns(run.results, workload),
    }


def sweep_document(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the document of a sweep, the runs in the order of their rates."""
    return {"format": SWEEP_FORMAT, "version": VERSION, "runs": list(runs)}


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document; it replaces a file of this name at once, so a reader never sees half of it."""
    part = path.with_name(path.name + ".part")
    with part.open("w") as file:
        # In pieces: the text of a long run is larger than its results.
        json.dump(document, file, ensure_ascii=False, allow_nan=False, default=array.tolist)
        file.write("\n")
    part.replace(path)


def as_json(document: Mapping[str, Any]) -> str:
    """Return a document as JSON, without numbers that JSON does not have."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, default=array.tolist)


def read_document(path: Path) -> dict[str, Any]:
    """Read the document of a run; of a sweep the last run whose goodput was at least 0.9, or the first one.

    Raises `LoadDocumentError`.
    """
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LoadDocumentError(f"{path}: cannot be read: {error}; name a file that --json wrote") from error
    if isinstance(document, dict) and document.get("format") == SWEEP_FORMAT and document.get("runs"):
        runs = document["runs"]
        document = next((run for run in reversed(runs) if run["summary"]["goodput"] >= 0.9), runs[0])
    if not isinstance(document, dict) or document.get("format") != RUN_FORMAT:
        raise LoadDocumentError(f"{path}: is no document of a load test: name a file that --json wrote")
    if document.get("version") != VERSION:
        raise LoadDocumentError(
            f"{path}: has version {document.get('version')} of the format, not {VERSION}: run the "
            "load test again"
        )
    columns = document.get("requests")
    if not isinstance(columns, dict) or any(name not in columns for name in _COLUMNS):
        raise LoadDocumentError(f"{path}: its requests are damaged: run the load test again")
    if len({len(columns[name]) for name in _COLUMNS}) != 1:
        raise LoadDocumentError(f"{path}: its columns differ in length: run the load test again")
    return document


def in_flight_when_sent(results: Sequence[RequestResult]) -> list[int]:
    """Return the number of requests in flight when each was sent, itself included; 0 for one withheld."""
    sent_s, ended_s, is_sent = array("d"), array("d"), array("b")
    for result in results:
        sent_s.append(result.sent_s)
        ended_s.append(result.ended_s)
        is_sent.append(result.outcome is not LoadOutcome.WITHHELD)
    own, chosen = np.array(sent_s), np.array(is_sent, dtype=bool)
    starts, ends = np.sort(own[chosen]), np.sort(np.array(ended_s)[chosen])
    # A request that ends at the instant at which another is sent is no longer in flight.
    counts = np.searchsorted(starts, own, side="right") - np.searchsorted(ends, own, side="right")
    found: list[int] = np.where(chosen, np.maximum(counts, 1), 0).tolist()
    return found


def _columns(
    results: Sequence[RequestResult], workload: Workload
) -> dict[str, array[float] | array[int] | list[Any]]:
    """Return the columns; numbers in arrays, of which the encoder makes lists one at a time."""
    return {
        "due_s": array("d", (_rounded(result.due_s) for result in results)),
        "sent_s": array("d", (_rounded(result.sent_s) for result in results)),
        "first_token_s": [
            None if result.first_token_s is None else _rounded(result.first_token_s) for result in results
        ],
        "ended_s": array("d", (_rounded(result.ended_s) for result in results)),
        "adapter": array("i", (int(workload.adapter[result.index]) for result in results)),
        "input_tokens": array(
            "i", (UNKNOWN if result.input_tokens is None else result.input_tokens for result in results)
        ),
        "output_tokens": array("i", (result.output_tokens for result in results)),
        "outcome": [result.outcome.value for result in results],
        "in_flight": in_flight_when_sent(results),
    }


def _rounded(seconds: float) -> float:
    """Return seconds to the microsecond: more digits are noise, and a third of the file."""
    return round(seconds, 6)
