"""Azure's traces of LLM inference: `TIMESTAMP,ContextTokens,GeneratedTokens`.

AzureLLMInferenceTrace_conv.csv and …_code.csv of 2023 (Azure/AzurePublicDataset, published with "Splitwise",
ISCA 2024), and those of a week of 2024, whose time stamps have a time zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from loraserve.workload.traces.trace_format import TraceFormat, TraceLine, TraceRequests, lines, tokens
from loraserve.workload.workload import Workload

_HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"


def _read(paths: Sequence[Path]) -> Workload:
    requests = TraceRequests()
    for path in paths:
        for line in lines(path):
            if line.text == _HEADER:
                continue
            values = line.text.split(",")
            if len(values) != 3:
                raise line.damaged(f"{len(values)} values, not 3")
            requests.add(_seconds(values[0], line), tokens(values[1], line), tokens(values[2], line))
    return requests.workload()


def _seconds(text: str, line: TraceLine) -> float:
    try:
        # Digits after the sixth, of the trace of 2023, are ignored.
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise line.damaged(f"{text!r} is no time stamp") from None


AZURE = TraceFormat("azure", lambda first: first == _HEADER, _read)
