"""Latency of an instance: given, computed, measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loraserve.plan.calibration import CalibrationError
from loraserve.simulation.errors import SimulationError
from loraserve.simulation.instance_model import parse_instance_model
from loraserve.simulation.options import slo_s
from stacks.config.loading import load_stages
from stacks.config.scaling_target import scaling_target
from stacks.config.sections.autoscaling import Autoscaling
from stacks.config.stage_config import LoadedStage
from stacks.project import ROOT
from stacks.sizing.throughput import LatencyModel, slo_concurrency


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


def _dev(**autoscaling: float) -> LoadedStage:
    [dev] = load_stages(ROOT / "stages", "dev")
    section = Autoscaling.model_validate(autoscaling)
    return dev.model_copy(update={"config": dev.config.model_copy(update={"autoscaling": section})})


def test_a_given_instance_is_assumed() -> None:
    found = parse_instance_model("2.06,0.037,40", None, None, 4)
    assert (found.latency, found.label) == (LatencyModel(2.06, 0.037, 40), "assumed")
    # The engine's own default, as in a stage file.
    assert parse_instance_model("2,.5", None, None, 4).latency == LatencyModel(2, 0.5, 128)


@pytest.mark.parametrize("stage", load_stages(ROOT / "stages"), ids=lambda stage: stage.name)
def test_a_planned_instance_answers_as_many_in_time_as_the_derived_target_says(stage: LoadedStage) -> None:
    slo = slo_s(None, stage)
    latency = parse_instance_model("plan", stage, None, slo).latency
    in_time = slo_concurrency(latency.seconds, slo, latency.max_in_flight)
    derived = stage.config.model_copy(update={"autoscaling": Autoscaling()})
    assert f"0.4 of the {in_time} in flight" in scaling_target(derived, stage.local_model).basis


def test_a_planned_instance_is_computed_for_the_stages_lengths() -> None:
    dev = _dev()
    found = parse_instance_model("plan", dev, (60.2, 63.9), 5)
    assert (found.label, found.source) == ("computed", "plan of stage dev, its typical 60 + 64 tokens")
    other = parse_instance_model("plan", dev, (600, 300), 5)
    assert other.latency == found.latency
    assert other.source.endswith("64 tokens, not the trace's 600 + 300")
    long = _dev(typical_input_tokens=600, typical_output_tokens=300)
    assert parse_instance_model("plan", long, None, 30).latency.base_s > 4 * found.latency.base_s


def test_the_slo_is_the_stages() -> None:
    assert slo_s("e2e=3s", _dev(slo_seconds=7)) == 3
    assert slo_s(None, _dev(slo_seconds=7)) == 7
    assert slo_s(None, None) == 4


def test_a_stage_that_cannot_be_computed_is_refused() -> None:
    unknown = _dev(target=5)
    model = unknown.config.base_model.model_copy(update={"name": "acme/model"})
    config = unknown.config.model_copy(update={"base_model": model})
    unknown = unknown.model_copy(update={"config": config})
    with pytest.raises(SimulationError, match="give one, e.g. --slo e2e=4s"):
        slo_s(None, unknown)
    with pytest.raises(SimulationError, match="give SECONDS,SECONDS_PER_REQUEST"):
        parse_instance_model("plan", unknown, None, 4)


def test_a_load_test_is_measured(tmp_path: Path) -> None:
    counts = [count for count in range(1, 31) for _ in range(2)]
    found = parse_instance_model(_load_test(tmp_path, counts, [2 + 0.05 * c for c in counts]), None, None, 4)
    assert (found.label, found.source) == ("measured", "load test run.json")
    assert found.latency.base_s == pytest.approx(2)
    assert found.latency.per_request_s == pytest.approx(0.05)


def test_a_load_test_at_one_concurrency_has_no_slope(tmp_path: Path) -> None:
    found = parse_instance_model(_load_test(tmp_path, [4] * 30, [1.5] * 30), None, None, 4)
    assert found.latency == LatencyModel(1.5, 0.0, 128)


def test_a_load_test_that_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="with several rates"):
        parse_instance_model(
            _load_test(tmp_path, list(range(1, 31)), [5 - 0.1 * c for c in range(30)]), None, None, 4
        )
    with pytest.raises(CalibrationError, match="run at least"):
        parse_instance_model(_load_test(tmp_path, [1], [1.0]), None, None, 4)
