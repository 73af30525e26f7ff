"""The JSON document of a run: it is read back, as a run and as a trace."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loraserve.load.check import check_answers
from loraserve.load.document import (
    LoadDocumentError,
    as_json,
    in_flight_when_sent,
    read_document,
    run_document,
    sweep_document,
    write_document,
)
from loraserve.load.result import LoadOutcome
from loraserve.load.slo import parse_slo
from loraserve.load.summary import summarize
from loraserve.workload.traces.read import read_trace
from tests.unit.loraserve.load.made import result, run, workload

ASKED = ["otter", None, "heron", "otter"]


def document(*, latency_s: float = 1.5, interrupted: bool = False) -> dict[str, Any]:
    asked = workload(ASKED)
    results = [result(index, latency_s=latency_s, gaps_s=[0.1] * 3) for index in range(3)]
    results.append(result(3, outcome=LoadOutcome.WITHHELD, latency_s=0))
    slo = parse_slo("e2e=2s")
    summary = summarize(results, check_answers(results, asked), asked, slo=slo)
    return run_document(
        "endpoint", run(results, interrupted=interrupted), asked, summary, options={"rate": "1.0"}, slo=slo
    )


def test_a_document_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_document(path, document())
    found = read_document(path)
    assert found["complete"] and found["valid"] and found["figures"] == "measured"
    assert found["summary"]["goodput"] == 0.75
    assert found["slo"] == {"ttft_s": None, "itl_s": None, "e2e_s": 2.0}
    assert found["requests"]["outcome"] == ["ok", "ok", "ok", "withheld"]
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_documents_requests_are_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_document(path, document())
    trace = read_trace(path)
    assert np.array_equal(trace.due_s, [0, 1, 2, 3])
    assert [trace.name_of(index) for index in range(4)] == ASKED
    assert trace.output_tokens.tolist()[:3] == [4, 4, 4]


def test_an_interrupted_run_is_not_complete(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_document(path, document(interrupted=True))
    assert read_document(path)["complete"] is False


def test_of_a_sweep_the_last_run_with_a_good_goodput_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sweep.json"
    good, bad = document(), document(latency_s=3.0)
    good["summary"]["goodput"] = 0.95
    write_document(path, sweep_document([good, bad]))
    assert read_document(path)["summary"]["goodput"] == 0.95
    write_document(path, sweep_document([bad, bad]))
    assert read_document(path)["summary"]["goodput"] == 0.0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": "another"}, "no document of a load test"),
        ({"version": 99}, "has version 99"),
        ({"requests": {"due_s": [1]}}, "are damaged"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(as_json(document() | change))
    with pytest.raises(LoadDocumentError, match=problem):
        read_document(path)
    for text in ("", "[]", "{", '"a"', '{"format": "loraserve-load-sweep", "runs": []}'):
        path.write_text(text)
        with pytest.raises(LoadDocumentError, match="cannot be read|no document"):
            read_document(path)


def test_requests_in_flight_are_counted_when_each_is_sent() -> None:
    results = [
        result(0, due_s=0, latency_s=2.5),
        result(1, due_s=1, latency_s=1),
        result(2, due_s=2, latency_s=1),
        result(3, due_s=2.2, outcome=LoadOutcome.WITHHELD, latency_s=0),
        result(4, due_s=9, latency_s=1),
    ]
    assert in_flight_when_sent(results) == [1, 2, 2, 0, 1]
    assert in_flight_when_sent([]) == []
