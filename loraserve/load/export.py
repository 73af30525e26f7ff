"""Requests of a load test for aiperf, NVIDIA's load generator.

Its format `inputs_json` (`aiperf/dataset/loader/inputs_json.py`, aiperf 0.13) has a whole request for each
session, which it sends as it is: so each has its adapter, where aiperf's own choice among models is either
round robin or even. Requests are in OpenAI's schema, `/v1/completions`; aiperf has no SigV4.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from loraserve.errors import UserError
from loraserve.load.requests import LoadRequests

#: Values of the first part of `--export`.
TOOLS: Final = ("aiperf",)


class ExportError(UserError):
    """Requests that the other tool cannot send."""

    exit_code = 2


def write_aiperf(path: Path, requests: LoadRequests) -> None:
    """Write the requests as `inputs_json`; arrival times are aiperf's own (`--request-rate`).

    Raises:
        ExportError: the path has a suffix that aiperf does not look for, or a request is in LoRAX's schema
            with more than OpenAI's has.
    """
    if path.suffix != ".json":
        raise ExportError(
            f"--export: {path}: aiperf recognizes the file by its suffix: name it {path.stem}.json"
        )
    sessions = [
        {"session_id": f"request-{index}", "payloads": [payload(requests, index)]}
        for index in range(len(requests.workload))
    ]
    path.write_text(json.dumps({"data": sessions}, ensure_ascii=False) + "\n")


def payload(requests: LoadRequests, index: int) -> dict[str, Any]:
    """Return request `index` in OpenAI's schema; raises `ExportError`."""
    body = json.loads(requests(index))
    if "inputs" not in body:
        return dict(body)
    parameters = dict(body["parameters"])
    written = {
        # The gateway's word for the base model is an empty one.
        "model": parameters.pop("adapter_id", ""),
        "prompt": body["inputs"],
        "temperature": 0,
        "stream": requests.stream,
    }
    parameters.pop("details", None)
    if (tokens := parameters.pop("max_new_tokens", None)) is not None:
        written["max_tokens"] = tokens
    if parameters.pop("ignore_eos_token", False):
        written["ignore_eos"] = True
    if parameters:
        raise ExportError(
            f"--export: request {index} has {', '.join(sorted(parameters))}, of LoRAX's schema: write the "
            "request in OpenAI's"
        )
    if requests.stream:
        written["stream_options"] = {"include_usage": True}
    return written
