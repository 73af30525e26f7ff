"""SageMaker's data capture: files of JSON lines, of the bucket's prefix `captured/`.

A line has `captureData.endpointInput`, `captureData.endpointOutput` and `eventMetadata.inferenceTime`
(SageMaker's developer guide, "Capture data from real-time endpoint"); `data` is text, or BASE64 by its
`encoding`. Times are whole seconds: the requests of a second are spread over it evenly. With
`endpoint.data_capture.percent` below 100 the trace is that sample of the requests. The base model is
recognized in `model` by a name that no adapter can have, such as one with capitals.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.errors import InvalidName
from adapters.names import Reference
from container.gateway.schemas.adapter_names import BASE_MODEL_IDS
from loraserve.workload.traces.json_lines import json_object, keys_of
from loraserve.workload.traces.trace_format import TraceFormat, TraceLine, TraceRequests, lines
from loraserve.workload.workload import Workload


def _read(paths: Sequence[Path]) -> Workload:
    rows = sorted(((_read_line(line)) for path in paths for line in lines(path)), key=lambda row: row[0])
    in_second = Counter(second for second, *_ in rows)
    passed: Counter[float] = Counter()
    requests = TraceRequests()
    for second, adapter, input_tokens, output_tokens in rows:
        share = passed[second] / in_second[second] if second.is_integer() else 0.0
        passed[second] += 1
        requests.add(second + share, input_tokens, output_tokens, adapter)
    return requests.workload()


def _read_line(line: TraceLine) -> tuple[float, str | None, int, int]:
    row = json_object(line)
    try:
        time = row["eventMetadata"]["inferenceTime"]
        captured = row["captureData"]
        second = datetime.fromisoformat(time).timestamp()
        request = json.loads(_text(captured["endpointInput"]))
        adapter = _adapter(request)
        input_tokens, output_tokens = _lengths(_text(captured.get("endpointOutput") or {"data": ""}))
    except (KeyError, TypeError, AttributeError):
        raise line.damaged("a part of the record is missing: record the requests, `input`, too") from None
    except (ValueError, OverflowError, RecursionError) as error:
        raise line.damaged(f"not a record of data capture ({error})") from None
    return second, adapter, input_tokens, output_tokens


def _text(part: dict[str, Any]) -> str:
    data: str = part["data"]
    return base64.b64decode(data).decode(errors="replace") if part.get("encoding") == "BASE64" else data


def _adapter(request: dict[str, Any]) -> str | None:
    """Return the adapter of a request's body, in LoRAX's or OpenAI's schema; None for the base model."""
    parameters = request.get("parameters") or {}
    name = parameters.get("adapter_id") or request.get("model")
    if name is None or name in BASE_MODEL_IDS:
        return None
    try:
        return Reference.parse(name).name
    except InvalidName:
        return None


def _lengths(answer: str) -> tuple[int, int]:
    """Return the tokens that an answer, or the last event of a stream, says; 0 for those that it does not."""
    inputs = outputs = 0
    for document in _documents(answer):
        if isinstance(usage := document.get("usage") or document.get("details"), dict):
            inputs = _count(usage.get("prompt_tokens")) or inputs
            outputs = _count(usage.get("completion_tokens") or usage.get("generated_tokens")) or outputs
    return inputs, outputs


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0


def _documents(answer: str) -> Iterator[dict[str, Any]]:
    for text in [answer, *answer.splitlines()] if answer.startswith("data:") else [answer]:
        try:
            document = json.loads(text.removeprefix("data:"))
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            yield document


CAPTURED = TraceFormat("captured", lambda first: {"captureData", "eventMetadata"} <= keys_of(first), _read)
