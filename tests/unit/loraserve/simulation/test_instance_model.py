"""Latency of an instance: given, computed, measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loraserve.plan.calibration import CalibrationError
from loraserve.simulation.errors import SimulationError
from loraserve.simulation.instance_model import parse_instance_model
from stacks.config.loading import load_stages
from stacks.project import ROOT
from stacks.sizing.throughput import LatencyModel


def _load_test(folder: Path, in_flight: list[int], service_s: list[float]) -> str:
    count = len(in_flight)
    document = {
        "format": "loraserve-load-test",
        "version": 1,
        "valid": True,
        "requests": {
            "due_s": [0.0] * count,
            "adapter": [-1] * count,
            "sent_s": [0.0] * count,
            "first_token_s": [None] * count,
            "ended_s": service_s,
            "input_tokens": [60] * count,
            "output_tokens": [64] * count,
            "outcome": ["ok"] * count,
            "in_flight": in_flight,
        },
    }
    path = folder / "run.json"
    path.write_text(json.dumps(document))
    return str(path)


def test_a_given_instance_is_assumed() -> None:
    found = parse_instance_model("2.06,0.037,40", None, None)
    assert (found.latency, found.label) == (LatencyModel(2.06, 0.037, 40), "assumed")
    # The engine's own default, as in a stage file.
    assert parse_instance_model("2,.5", None, None).latency == LatencyModel(2, 0.5, 128)


def test_a_planned_instance_is_computed_for_the_traces_lengths() -> None:
    [dev] = load_stages(ROOT / "stages", "dev")
    short = parse_instance_model("plan", dev, (60, 64))
    long = parse_instance_model("plan", dev, (600, 300))
    assert (short.label, short.source) == ("computed", "plan of stage dev, 60/64 tokens")
    assert long.latency.base_s > 4 * short.latency.base_s
    with pytest.raises(SimulationError, match="give a trace with shorter requests"):
        parse_instance_model("plan", dev, (1e6, 10))


def test_a_load_test_is_measured(tmp_path: Path) -> None:
    counts = [count for count in range(1, 31) for _ in range(2)]
    found = parse_instance_model(_load_test(tmp_path, counts, [2 + 0.05 * c for c in counts]), None, None)
    assert (found.label, found.source) == ("measured", "load test run.json")
    assert found.latency.base_s == pytest.approx(2)
    assert found.latency.per_request_s == pytest.approx(0.05)


def test_a_load_test_at_one_concurrency_has_no_slope(tmp_path: Path) -> None:
    found = parse_instance_model(_load_test(tmp_path, [4] * 30, [1.5] * 30), None, None)
    assert found.latency == LatencyModel(1.5, 0.0, 128)


def test_a_load_test_that_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="with several rates"):
        parse_instance_model(
            _load_test(tmp_path, list(range(1, 31)), [5 - 0.1 * c for c in range(30)]), None, None
        )
    with pytest.raises(CalibrationError, match="run at least"):
        parse_instance_model(_load_test(tmp_path, [1], [1.0]), None, None)
