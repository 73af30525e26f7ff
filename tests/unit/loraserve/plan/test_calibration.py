"""Calibration by measurements."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loraserve.load.document import LoadDocumentError
from loraserve.plan.calibration import CalibrationError, Scales, read_service, scales
from loraserve.plan.configuration import Configuration, evaluate
from loraserve.plan.errors import PlanError
from loraserve.plan.measurements import read_measurements
from loraserve.plan.question import Load, Measurements, PlanQuestion
from loraserve.plan.search import by_slots
from stacks.sizing.gpu_memory import plan_of
from stacks.sizing.popularity import uniform
from stacks.sizing.throughput import LORA_HIGH, LORA_LOW, LORA_MID, latency_s, step_work
from tests.unit.loraserve.plan.questions import question

IN_FLIGHT = (1, 4, 16, 32)
ASKED = question(slots=8, shares=uniform(8), load=Load(concurrency=16))


def load_test(path: Path, asked: PlanQuestion, factor: float, **changes: Any) -> Path:
    """Write the document of a load test that took `factor` times as long as it is computed."""
    plan = plan_of(asked.demand)
    assert plan is not None
    work, in_flight = step_work(plan), [IN_FLIGHT[number % 4] for number in range(80)]
    seconds = [factor * latency_s(work, asked.traffic, count, 128) for count in in_flight]
    columns = {
        "due_s": [float(number) for number in range(80)],
        "sent_s": [number + 0.001 for number in range(80)],
        "first_token_s": [None] * 80,
        "ended_s": [number + 0.001 + second for number, second in enumerate(seconds)],
        "adapter": [number % 8 for number in range(80)],
        "input_tokens": [256] * 80,
        "output_tokens": [128] * 80,
        "outcome": ["ok"] * 80,
        "in_flight": in_flight,
    }
    document = {"format": "loraserve-load-test", "version": 1, "valid": True, "requests": columns} | changes
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.7])
def test_a_calibrated_plan_meets_the_load_test(tmp_path: Path, factor: float) -> None:
    path = load_test(tmp_path / "run.json", ASKED, factor)
    found = read_measurements(None, path, ASKED.demand, ASKED.other_seqs, ASKED.traffic)
    assert found.scales.mid == pytest.approx(factor, rel=0.001)
    calibrated, computed = (
        evaluate(replace(ASKED, measurements=measured), ASKED.demand) for measured in (found, Measurements())
    )
    assert isinstance(calibrated, Configuration)
    assert isinstance(computed, Configuration)
    assert calibrated.latency_s.mid == pytest.approx(factor * computed.latency_s.mid, rel=0.001)
    # The three costs of LoRA agree on what was measured.
    spread = calibrated.latency_s.slowest / calibrated.latency_s.fastest
    assert spread == pytest.approx(1, abs=0.05)


def test_the_middle_cost_is_between_the_others_after_a_calibration() -> None:
    """Each cost has its own scale: the one that was computed slowest may become the fastest."""
    slots = by_slots(
        replace(ASKED, measurements=Measurements(scales=Scales(43.0, 58.0, 131.0))), ASKED.demand, [1, 8]
    )
    for found in slots:
        assert isinstance(found, Configuration)
        for times in (found.step_s, found.first_token_s, found.latency_s, found.usd_per_million):
            assert times is not None
            assert times.slowest >= times.mid >= times.fastest
        for rates in (found.requests_per_s, found.output_tokens_per_s):
            assert rates.slowest <= rates.mid <= rates.fastest


def test_scales_belong_to_their_cost() -> None:
    found = Scales(3.0, 2.0, 1.0)
    assert [found.of(cost) for cost in (LORA_HIGH, LORA_MID, LORA_LOW)] == [3.0, 2.0, 1.0]
    assert found.measured
    assert not Scales().measured


def test_lengths_and_popularity_are_those_of_the_load_test(tmp_path: Path) -> None:
    measured = read_service(load_test(tmp_path / "run.json", ASKED, 1), 60)
    assert measured.traffic == ASKED.traffic
    assert set(measured.in_flight) == set(IN_FLIGHT)
    # Answers need not have the number of input tokens.
    path = load_test(tmp_path / "run.json", ASKED, 1)
    document = json.loads(path.read_text())
    document["requests"]["input_tokens"] = [-1] * 80
    path.write_text(json.dumps(document))
    assert read_service(path, 60).traffic.input_tokens == 60


def test_scales_are_medians(tmp_path: Path) -> None:
    measured = read_service(load_test(tmp_path / "run.json", ASKED, 1), 60)
    plan = plan_of(ASKED.demand)
    assert plan is not None
    slow = replace(measured, service_s=(*measured.service_s[:-10], *[1000.0] * 10))
    assert scales(slow, step_work(plan), 128).mid == pytest.approx(1)


def test_unusable_load_tests_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with pytest.raises(CalibrationError, match="is INVALID"):
        read_service(load_test(path, ASKED, 1, valid=False), 60)
    load_test(path, ASKED, 1)
    document = json.loads(path.read_text())
    document["requests"]["outcome"] = ["ok"] * 19 + ["throttled"] * 61
    path.write_text(json.dumps(document))
    with pytest.raises(CalibrationError, match="19 requests succeeded.*at least 20"):
        read_service(path, 60)
    path.write_text("{}")
    with pytest.raises(LoadDocumentError):
        read_service(path, 60)


def test_an_engines_log_replaces_the_estimates(tmp_path: Path) -> None:
    path, plan = tmp_path / "engine.log", plan_of(ASKED.demand)
    assert plan is not None
    path.write_text(
        "INFO [gpu_model_runner.py:5000] Model loading took 14.2 GiB memory and 3.2 seconds\n"
        "INFO [kv_cache_utils.py:2330] GPU KV cache size: 30,000 tokens\n"
    )
    found = read_measurements(path, None, ASKED.demand, ASKED.other_seqs, ASKED.traffic)
    calibrated = evaluate(replace(ASKED, measurements=found), ASKED.demand)
    assert isinstance(calibrated, Configuration)
    assert calibrated.memory.kv_tokens == 30_000
    assert calibrated.memory.measured


@pytest.mark.parametrize("text", [None, "", "nothing of an engine"])
def test_a_file_that_is_no_engines_log_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "engine.log"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PlanError, match=r"--engine-log: .*engine\.log"):
        read_measurements(path, None, ASKED.demand, ASKED.other_seqs, ASKED.traffic)
